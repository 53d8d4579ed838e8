"""Pictures in parquet files: img2dataset's `output_format=parquet`, Hugging Face's `image` struct.

What belongs here: listing the pictures of a parquet and reading one by its row, with few pictures in memory; and the
rows that img2dataset could not download. What does not: other dumps (`dumps/dump.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.catalog.columns import PICTURES_WANTED, column_of, fits, is_text, picture_column
from transforms.dumps.members import ROW, ArchiveError, Listing, Member, uid_text
from transforms.storage import stores

_BATCH = 32  # pictures held at once
_BATCH_BYTES = 64 << 20  # fewer where a file's pictures are large
_ROWS = 8_192  # rows of text held at once
_BUFFER = 1 << 20  # without it, Arrow reads a row group's whole column at once
_REASON = 200


@dataclass
class Parquet:
    """The pictures of an open parquet file. Memory: the listing's records, and a batch of pictures."""

    path: str
    file: pq.ParquetFile
    column: str
    firsts: list[int] = field(init=False)
    _rows: Iterator[tuple[int, pa.Array]] = field(init=False, default=iter(()))
    _first: int = field(init=False, default=0)
    _held: pa.Array = field(init=False, default=None)
    _group: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        counts = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self.firsts = list(accumulate(counts, initial=0))

    @classmethod
    def of(cls, path: str, source: Any) -> "Parquet":  # noqa: ANN401 -- any file that can seek
        """Open a parquet of pictures.

        Args:
            path: Its name in messages.
            source: The file.

        Raises:
            ArchiveError: If it is not a parquet, or has no column of pictures.
        """
        try:
            file = pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(
                f"{path} is not a whole parquet file ({_first_line(error)}); download it again"
            ) from error
        column = picture_column(file.schema_arrow)
        if column is None:
            names = ", ".join(file.schema_arrow.names) or "none"
            raise ArchiveError(
                f"{path} has no column of pictures: looked for {PICTURES_WANTED}, in any case, found {names}; rename "
                "the column, or leave the file out of `images`"
            )
        return cls(path, file, column)

    def listing(self, member_bytes: int) -> Listing:
        """See `Dump.listing`. A row without a picture says why."""
        found = Listing()
        try:
            texts, sizes = _texts(self.file, self.column), self._sizes()
            for row, (said, size) in enumerate(zip(texts, sizes, strict=True)):
                found.members.append(_member(row, said, size, self.column, member_bytes))
        except (OSError, pa.ArrowException) as error:
            found.broken = f"{self.path} breaks off after row {len(found.members)} ({_first_line(error)})"
            found.broken += "; download it again"
        return found

    def _sizes(self) -> Iterator[int | None]:
        batches = (batch for group in range(self.file.num_row_groups) for batch in self._batches(group))
        return chain.from_iterable(pc.binary_length(batch).to_pylist() for batch in batches)

    def _batches(self, group: int) -> Iterator[pa.Array]:
        """Stream the bytes of one row group."""
        about = self.file.metadata.row_group(group)
        picture = next(c for c in map(about.column, range(about.num_columns)) if c.path_in_schema == self.column)
        usual = max(1, picture.total_uncompressed_size // max(1, about.num_rows))
        size = max(1, min(_BATCH, _BATCH_BYTES // usual))
        for batch in self.file.iter_batches(batch_size=size, row_groups=[group], columns=[self.column]):
            column = batch.column(0)
            yield pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See `Dump.read`. Reading in order is fast; any other row costs reading its row group up to it."""
        try:
            value = self._value(offset)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"{self.path}: row {offset} cannot be read ({_first_line(error)})") from error
        data = value.as_buffer().to_pybytes() if value is not None and value.is_valid else b""
        if len(data) != size:
            raise ArchiveError(f"{self.path}: row {offset} has {len(data)} bytes, not {size}; fingerprint it again")
        return data

    def _value(self, row: int) -> pa.Scalar | None:
        if not 0 <= row < self.firsts[-1]:
            return None
        group = next(i for i, end in enumerate(self.firsts[1:]) if row < end)
        if group != self._group or row < self._first:
            self._rows, self._group = self._numbered(group), group
            self._first, self._held = next(self._rows)
        while row >= self._first + len(self._held):
            self._first, self._held = next(self._rows)
        return self._held[row - self._first]

    def _numbered(self, group: int) -> Iterator[tuple[int, pa.Array]]:
        first = self.firsts[group]
        for batch in self._batches(group):
            yield first, batch
            first += len(batch)


def not_downloaded(path: str) -> list[Member]:
    """Return the rows that img2dataset's parquet lists as not downloaded, each refused with its reason.

    A parquet without the columns `status` and `error_message` lists none. Raises ArchiveError if it cannot be read.
    """
    try:
        with stores.open_file(path) as source, pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False) as file:
            if not {"status", "error_message"} <= set(file.schema_arrow.names):
                return []
            rows = enumerate(_texts(file, None))
            return [_member(row, said, None, "", 0) for row, said in rows if said["status"] not in {None, "success"}]
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(f"{path} cannot be read ({_first_line(error)}); download it again") from error


def _texts(file: pq.ParquetFile, pictures: str | None) -> Iterator[dict[str, Any]]:
    """Yield the metadata of each row: key, url, caption, uid, status, error_message and path, as far as it has them."""
    schema = file.schema_arrow
    wanted = {name: column_of(schema.names, name) for name in ("key", "url", "caption", "uid")}
    wanted = {k: name for k, name in wanted.items() if name and fits(schema.field(name).type, name.lower())}
    wanted |= {n: n for n in ("status", "error_message") if n in schema.names and is_text(schema.field(n).type)}
    struct = pictures.rpartition(".")[0] if pictures and "." in pictures else None
    columns = [*wanted.values()]
    if struct and any(is_text(f.type) and f.name == "path" for f in schema.field(struct).type):
        columns.append(f"{struct}.path")
    if ROW in schema.names and pa.types.is_integer(schema.field(ROW).type):
        wanted[ROW], columns = ROW, [*columns, ROW]
    nothing = dict.fromkeys(("key", "url", "caption", "uid", "status", "error_message", "path", ROW))
    if not columns:
        yield from (nothing for _ in range(file.metadata.num_rows))
        return
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
        values = {k: _plain(batch.column(name)) for k, name in wanted.items()}
        if f"{struct}.path" in columns:
            values["path"] = _plain(pc.struct_field(batch.column(struct), "path"))
        yield from (nothing | dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))


def _plain(column: pa.Array) -> Sequence[str | None]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type):
        column = column.view(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    values = column.to_pylist()
    return [value.decode(errors="replace") if isinstance(value, bytes) else uid_text(value) for value in values]


def _member(row: int, said: dict[str, Any], size: int | None, column: str, member_bytes: int) -> Member:
    path, key = said["path"], said["key"]
    ending = PurePosixPath(column).name if "." not in column else "jpg"
    name = path or (f"{key}.{ending}" if key else f"row {row}")
    refusal = None
    if said["status"] not in {None, "success"}:
        refusal, name = f"not downloaded: {_one_line(said['error_message'] or said['status'])}", ""
    elif size is None:
        refusal = f"no picture: the row holds only the path {_one_line(path)!r}" if path else "no picture in the row"
    elif size > member_bytes:
        refusal = f"refused: {size} bytes are more than limits.member_bytes = {member_bytes}"
    key = key or (str(PurePosixPath(path).with_suffix("")) if path and PurePosixPath(path).name else "")
    of_row = None if said[ROW] is None else int(said[ROW])
    return Member(key, name, row, size or 0, refusal, said["url"], said["caption"], said["uid"], row=of_row)


def _one_line(text: str) -> str:
    """Return a message from the web as one short line."""
    return "".join(c if c.isprintable() else " " for c in text[: 2 * _REASON]).strip()[:_REASON]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
