"""Pictures in parquet files: img2dataset's `output_format=parquet`, Hugging Face's `image` struct, several a row.

What belongs here: listing the pictures of a parquet and reading one by its row, with few pictures in memory; and the
rows that img2dataset could not download. What does not: which columns hold pictures (`catalog/picture_columns.py`),
other dumps (`dumps/dump.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa

from transforms.catalog.byte_limits import ParquetTable, TooLargeError, open_parquet
from transforms.catalog.columns import PICTURES_WANTED, column_of, fits, is_text
from transforms.catalog.not_taken import NotTakenCounts
from transforms.catalog.picture_columns import PictureColumn, picture_columns, thumbnails, unread
from transforms.catalog.record_files import PARQUET_ERRORS
from transforms.dumps import first_bytes
from transforms.dumps.members import ROW, ArchiveError, Listing, Member, too_large
from transforms.dumps.picture_cells import INDEX_BITS, PictureCell, PictureCells, place_of, plain_values
from transforms.readable import first_line
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits

_ROWS = 8_192  # rows of text held at once
_REASON = 200
UNREAD = "a column of bytes in a type that is not read as pictures; write it as binary"
THUMBNAILS = "a column of thumbnails of the pictures in another column"
LONG = f"a picture of a row with more than {1 << INDEX_BITS:,} pictures"


@dataclass
class Parquet:
    """The pictures of an open parquet file. Memory: the listing's records, and a batch of pictures of each column.

    A row may have several pictures: in several columns, or in a list. The first that is there is the row's. The others
    come after all rows, each as a row of its own. Their offset says row, place in the list and column.
    """

    path: str
    file: ParquetTable
    columns: list[PictureColumn]
    _cells: dict[int, PictureCells] = field(init=False, default_factory=dict)

    @classmethod
    def of(cls, path: str, source: BinaryIO, limits: ByteLimits) -> "Parquet":
        """Open a parquet of pictures.

        Args:
            path: Its name in messages.
            source: The file.
            limits: Of what is read at once.

        Raises:
            ArchiveError: If it is not a parquet, breaks a limit, or has no column of pictures.
        """
        try:
            file = open_parquet(path, source, limits)
            columns = picture_columns(file)
        except TooLargeError as error:
            raise ArchiveError(str(error)) from error
        except PARQUET_ERRORS as error:
            raise ArchiveError(
                f"{path} is not a whole parquet file ({first_line(error)}); download it again"
            ) from error
        if not columns:
            names = ", ".join(name[:60] for name in file.schema.names[:40]) or "none"
            raise ArchiveError(
                f"{path} has no column of pictures: looked for {PICTURES_WANTED}, in any case, found {names}; rename "
                "the column, or leave the file out of `images`"
            )
        names = file.schema.names
        if twice := next((each.name for each in columns if names.count(each.name) > 1), None):
            raise ArchiveError(f"{path} has the column {twice} twice, of which only one can be read; rename one")
        return cls(path, file, columns)

    @property
    def several(self) -> bool:
        """Whether a row may have several pictures."""
        return len(self.columns) > 1 or self.columns[0].several

    def listing(self, member_bytes: int) -> Listing:
        """See `Dump.listing`. A row without a picture says why."""
        found, further = Listing(), list[Member]()
        counts, rows = NotTakenCounts(), self.file.rows
        for name in thumbnails(self.file.schema):
            if all(each.name != name for each in self.columns):
                counts.add(self.path, THUMBNAILS, name)
        for name in unread(self.file.schema):
            counts.add(self.path, UNREAD, name)
        try:
            texts = _texts(self.file)
            for row, (said, cells) in enumerate(zip(texts, self._rows(), strict=True)):
                first, *others = _order(cells)
                found.members.append(self._member(row, said, first, member_bytes))
                for cell in others:
                    if not first_bytes.is_picture(cell.head):
                        counts.add(self.path, first_bytes.no_picture(cell.head), cell.name(row))
                    elif cell.index >= 1 << INDEX_BITS:
                        counts.add(self.path, LONG, cell.name(row))
                    else:
                        member = self._further(row, said, cell, member_bytes)
                        member.own_row = rows + len(further)
                        further.append(member)
        except TooLargeError as error:
            found.broken = str(error)
        except PARQUET_ERRORS as error:
            found.broken = f"{self.path} breaks off after row {len(found.members)} ({first_line(error)})"
            found.broken += "; download it again"
        found.members += further
        found.not_taken = counts.counts()
        return found

    def _rows(self) -> Iterator[list[PictureCell]]:
        """Yield the pictures of each row: at least one, which may not be there."""
        rows = [cells.rows(heads=self.several) for cells in map(self._of, range(len(self.columns)))]
        return (list(chain.from_iterable(cells)) for cells in zip(*rows, strict=True))

    def _of(self, number: int) -> PictureCells:
        if number not in self._cells:
            self._cells[number] = PictureCells(self.file, self.columns[number], number)
        return self._cells[number]

    def _member(self, row: int, said: dict[str, Any], cell: PictureCell, member_bytes: int) -> Member:
        member = _member(row, said, cell, member_bytes)
        if cell.offset(row) != row:
            member.offset, member.own_row = cell.offset(row), row
        return member

    def _further(self, row: int, said: dict[str, Any], cell: PictureCell, member_bytes: int) -> Member:
        """Return a further picture of a row, which has its caption, but not what names the row."""
        alone = dict.fromkeys(said) | {"caption": said["caption"]}
        member = _member(row, alone, cell, member_bytes)
        member.name, member.offset = cell.path or cell.name(row), cell.offset(row)
        member.key = f"{said['key']}.{cell.column.name}" if said["key"] and not member.key else member.key
        return member

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See `Dump.read`. Reading in order is fast; any other row costs reading its row group up to it."""
        row, index, number = place_of(offset)
        try:
            data = self._of(number).value(row, index) if number < len(self.columns) else None
        except (*PARQUET_ERRORS, StopIteration) as error:
            raise ArchiveError(f"{self.path}: row {row} cannot be read ({first_line(error)})") from error
        if len(data or b"") != size:
            raise ArchiveError(f"{self.path}: row {row} has {len(data or b'')} bytes, not {size}; fingerprint it again")
        return data or b""


def _order(cells: Sequence[PictureCell]) -> list[PictureCell]:
    """Return the pictures of a row that are there, the row's own first; if none is, one that says why."""
    there = [cell for cell in cells if cell.size is not None]
    first = next((cell for cell in there if cell.size), (*there, *cells)[0])
    return [first, *(cell for cell in there if cell is not first)]


def not_downloaded(path: str, limits: ByteLimits) -> list[Member]:
    """Return the rows that img2dataset's parquet lists as not downloaded, each refused with its reason.

    A parquet without the columns `status` and `error_message` lists none.

    Args:
        path: The parquet.
        limits: Of what is read at once.

    Raises:
        ArchiveError: If it cannot be read, or breaks a limit.
    """
    try:
        with stores.open_file(path) as source:
            file = open_parquet(path, source, limits)
            if not {"status", "error_message"} <= set(file.schema.names):
                return []
            rows = enumerate(_texts(file))
            nothing = PictureCell(PictureColumn(""), 0, 0, None, None, b"")
            return [_member(row, said, nothing, 0) for row, said in rows if said["status"] not in {None, "success"}]
    except TooLargeError as error:
        raise ArchiveError(str(error)) from error
    except PARQUET_ERRORS as error:
        raise ArchiveError(f"{path} cannot be read ({first_line(error)}); download it again") from error


def _texts(file: ParquetTable) -> Iterator[dict[str, Any]]:
    """Yield the metadata of each row: key, url, caption, uid, status and error_message, as far as it has them."""
    schema = file.schema
    found = {name: column_of(schema.names, name) for name in ("key", "url", "caption", "uid")}
    wanted = {k: name for k, name in found.items() if name and fits(schema.field(name).type, name.lower())}
    wanted |= {n: n for n in ("status", "error_message") if n in schema.names and is_text(schema.field(n).type)}
    columns = [*wanted.values()]
    if ROW in schema.names and pa.types.is_integer(schema.field(ROW).type):
        wanted[ROW], columns = ROW, [*columns, ROW]
    nothing = dict.fromkeys(("key", "url", "caption", "uid", "status", "error_message", ROW))
    if not columns:
        yield from (nothing for _ in range(file.rows))
        return
    for batch in file.texts(columns, _ROWS, held=True):
        values = {k: plain_values(batch.column(name)) for k, name in wanted.items()}
        yield from (nothing | dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))


def _member(row: int, said: dict[str, Any], cell: PictureCell, member_bytes: int) -> Member:
    path, key, size = cell.path, said["key"], cell.size
    ending = "jpg" if cell.column.struct else cell.column.name
    name = path or (f"{key}.{ending}" if key else f"row {row}")
    refusal = None
    if said["status"] not in {None, "success"}:
        refusal, name = f"not downloaded: {_one_line(said['error_message'] or said['status'])}", ""
    elif size is None:
        refusal = (
            f"missing: the row holds only the path {_one_line(path)!r}" if path else "missing: no picture in the row"
        )
    else:
        refusal = too_large(size, member_bytes)
    key = key or (str(PurePosixPath(path).with_suffix("")) if path and PurePosixPath(path).name else "")
    of_row = None if said[ROW] is None else int(said[ROW])
    return Member(key, name, row, size or 0, refusal, said["url"], said["caption"], said["uid"], row=of_row)


def _one_line(text: str) -> str:
    """Return a message from the web as one short line."""
    return "".join(c if c.isprintable() else " " for c in text[: 2 * _REASON]).strip()[:_REASON]
