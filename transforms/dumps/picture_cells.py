"""The pictures of one column of a parquet, row by row.

What belongs here: streaming them with few in memory, and where each is. What does not: rows and their other columns
(`dumps/parquet.py`), which columns hold pictures (`catalog/picture_columns.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from transforms.catalog.byte_limits import ParquetTable
from transforms.catalog.columns import is_text
from transforms.catalog.picture_columns import PictureColumn
from transforms.dumps import first_bytes
from transforms.dumps.members import uid_text

_BATCH = 32  # pictures held at once
_BATCH_BYTES = 64 << 20  # fewer where pictures are large
INDEX_BITS = 16
"""Of an offset, for the place in a row's list. The bits below are the row, those above the column."""
_ROW_BITS = 40


@dataclass(frozen=True, slots=True)
class PictureCell:
    """A picture of a row.

    Attributes:
        column: Where it is.
        number: Of the column.
        index: In the row's list.
        size: In bytes, or None if there are no bytes.
        path: As the struct says it.
        head: Its first bytes, where a row may have several pictures.
    """

    column: PictureColumn
    number: int
    index: int
    size: int | None
    path: str | None
    head: bytes

    def offset(self, row: int) -> int:
        """Return row, place in the list and column in one number: the row itself for the first of the first column."""
        return row | self.index << _ROW_BITS | self.number << _ROW_BITS + INDEX_BITS

    def name(self, row: int) -> str:
        """Return where it is, in words."""
        return f"row {row} {self.column.name}" + (f"[{self.index}]" if self.column.several else "")


def place_of(offset: int) -> tuple[int, int, int]:
    """Return row, place in the list and column of an offset. A number that is none is a row that no file has."""
    if offset < 0:
        return offset, 0, 0
    return offset & (1 << _ROW_BITS) - 1, offset >> _ROW_BITS & (1 << INDEX_BITS) - 1, offset >> _ROW_BITS + INDEX_BITS


class PictureCells:
    """The pictures of one column, row by row."""

    def __init__(self, file: ParquetTable, column: PictureColumn, number: int) -> None:
        counts = [group.rows for group in file.layout.groups]
        self._file, self._column, self._number = file, column, number
        self._firsts = list(accumulate(counts, initial=0))
        self._batches: Iterator[tuple[int, pa.Array]] = iter(())
        self._first, self._held, self._group = 0, pa.nulls(0), -1

    def rows(self, *, heads: bool) -> Iterator[list[PictureCell]]:
        """Yield the pictures of each row.

        Args:
            heads: Whether their first bytes are wanted.
        """
        for group in range(len(self._firsts) - 1):
            for _, batch in self._numbered(group):
                yield from self._cells_of(batch, heads=heads)

    def _cells_of(self, batch: pa.Array, *, heads: bool) -> Iterator[list[PictureCell]]:
        lengths = pc.list_value_length(batch).to_pylist() if self._column.several else [1] * len(batch)
        flat = batch.flatten() if self._column.several else batch
        values, paths = flat, list[str | None]()
        if self._column.struct:
            values = pc.struct_field(flat, "bytes")
            if any(each.name == "path" and is_text(each.type) for each in flat.type):
                paths = list(plain_values(pc.struct_field(flat, "path")))
        sizes = pc.binary_length(values).to_pylist()
        begins = pc.binary_slice(values, 0, first_bytes.HEAD).to_pylist() if heads else None
        at = 0
        for length in lengths:
            cells = [
                PictureCell(
                    self._column,
                    self._number,
                    index,
                    sizes[n],
                    paths[n] if paths else None,
                    (begins and begins[n]) or b"",
                )
                for index, n in enumerate(range(at, at + (length or 0)))
            ]
            at += length or 0
            yield cells or [PictureCell(self._column, self._number, 0, None, None, b"")]

    def value(self, row: int, index: int) -> bytes | None:
        """Return the bytes of a picture, or None if it is not there.

        Args:
            row: Of the parquet.
            index: In the row's list.
        """
        if not 0 <= row < self._firsts[-1]:
            return None
        group = next(i for i, end in enumerate(self._firsts[1:]) if row < end)
        if group != self._group or row < self._first:
            self._batches, self._group = self._numbered(group), group
            self._first, self._held = next(self._batches)
        while row >= self._first + len(self._held):
            self._first, self._held = next(self._batches)
        value = self._held[row - self._first]
        if self._column.several:
            if not value.is_valid or index >= len(value.values):
                return None
            value = value.values[index]
        if self._column.struct and value.is_valid:
            value = value["bytes"]
        return value.as_buffer().to_pybytes() if value.is_valid else None

    def _numbered(self, group: int) -> Iterator[tuple[int, pa.Array]]:
        """Stream one row group, each batch with its first row. Few pictures are held where they are large."""
        name, first = self._column.name, self._firsts[group]
        for batch in self._file.batches([name], _BATCH, [group], _BATCH_BYTES):
            yield first, batch.column(batch.schema.get_field_index(name))
            first += batch.num_rows


def plain_values(column: pa.Array) -> Sequence[str | None]:
    """Return the texts of a column. Bytes that are not UTF-8 become U+FFFD, numbers text."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text(column.type):
        column = column.view(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    values = column.to_pylist()
    return [value.decode(errors="replace") if isinstance(value, bytes) else uid_text(value) for value in values]
