"""Limits of files that come from anywhere, in bytes: what is read of a parquet, and how much of it at once.

What belongs here: the limits of metadata, tables, sidecars and lists, and reading a parquet within them. What does not:
how much a parquet takes (`catalog/parquet_layout.py`), other forms (`catalog/record_files.py`), pictures (`pictures/`).
"""

import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.catalog.columns import LandingError, is_bytes, is_text
from transforms.catalog.parquet_layout import ParquetLayout, Span, footer_size, measure, read_layout
from transforms.readable import legible
from transforms.storage.file_limits import ByteLimits

_BUFFER = 1 << 20  # without it, Arrow reads a row group's whole column at once
_ROWS = 1 << 26  # of a file: the ids of its rows take so many bits
_LEAVES = 10_000  # columns of a file, fields of structs counted singly
_TOGETHER = 2_048  # rows that DuckDB takes at once
_SHARE = 4  # part of a batch that a text of each of so many rows may take
_NAME = 100  # characters of the name of a column in messages
_CONVERTED = 8  # part of a batch that texts may take before they are converted


class TooLargeError(LandingError):
    """A file breaks a limit of bytes. The message names the file, what is too large, the limit and its setting."""


LISTED = ByteLimits(1 << 40, 1 << 40, 1 << 40, 1 << 50)
"""For reading pictures again from a dump already listed within its limits."""


@dataclass
class ParquetTable:
    """An open parquet, which is read in as many rows at once as fit within the limits.

    Attributes:
        path: Its name in messages.
        file: Arrow's reader, for names, types and metadata. Its rows are read by `batches`.
        layout: What the file says of its size.
        limits: The limits.
    """

    path: str
    file: pq.ParquetFile
    layout: ParquetLayout
    limits: ByteLimits
    _source: BinaryIO
    _spans: dict[tuple[int, int], Span] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        schema: pa.Schema = self.file.schema_arrow
        return schema

    @property
    def rows(self) -> int:
        """The count of its rows."""
        return self.layout.rows

    def batches(
        self, columns: Collection[str] | None, rows: int, groups: Sequence[int] | None = None, most: int = 1 << 62
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows, as many at once as are wanted and fit.

        Args:
            columns: Names of columns; None: all.
            rows: How many rows are wanted at once.
            groups: Row groups to read, in order; None: all.
            most: Bytes that these rows should take at most, if that is less than a batch.

        Raises:
            TooLargeError: If a page, or a row of lists, is larger than a batch.
            ArrowException: If the file is broken. OSError, UnicodeError and others likewise.
        """
        for group in range(len(self.layout.groups)) if groups is None else groups:
            fitting = self._fitting(group, columns, rows, min(most, self.limits.batch))
            names = None if columns is None else [*columns]
            yield from self.file.iter_batches(batch_size=fitting, row_groups=[group], columns=names)

    def _fitting(self, group: int, columns: Collection[str] | None, rows: int, most: int) -> int:
        pages = a_row = 0
        for at, leaf in enumerate(self.layout.leaves):
            if columns is not None and leaf.name not in columns:
                continue
            span = self._span(group, at)
            pages += span.page
            if leaf.repeated and span.all_values > self.limits.batch:
                self._refuse(f"the lists of column {_short(leaf.name)} in row group {group + 1} take", span.all_values)
            if pages > self.limits.batch:
                self._refuse(f"a page of column {_short(leaf.name)} in row group {group + 1} takes", pages)
            a_row += 0 if leaf.repeated else span.value
        return max(1, min(rows, most // max(1, a_row)))

    def is_large(self, column: str) -> bool:
        """Return whether a page or the lists of a column are larger than a batch, or all of it than a file may be."""
        total = 0
        for at in self._places.get(column, ()):
            leaf = self.layout.leaves[at]
            for group in range(len(self.layout.groups)):
                span = self._span(group, at)
                total += span.all_values
                if (span.all_values if leaf.repeated else span.page) > self.limits.batch or total > self.limits.file:
                    return True
        return False

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for at, leaf in enumerate(self.layout.leaves):
            places.setdefault(leaf.name, []).append(at)
        return places

    def _span(self, group: int, leaf: int) -> Span:
        if (group, leaf) not in self._spans:
            chunk = self.layout.groups[group].chunks[leaf]
            self._spans[group, leaf] = measure(self._source, self.layout.leaves[leaf], chunk, self.limits.batch)
        return self._spans[group, leaf]

    def _refuse(self, what: str, size: int) -> None:
        raise TooLargeError(
            f"{self.path}: {what} {size:,} bytes, more than limits.batch_bytes = {self.limits.batch:,}; write it "
            "with smaller row groups, or raise the limit"
        )

    def texts(
        self, columns: Collection[str] | None, rows: int, used: Collection[str] | None = None, *, held: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows as `batches` does, whose texts are within the limits. Raises what `batches` raises.

        Args:
            columns: Names of columns; None: all.
            rows: How many rows are wanted at once.
            used: The columns whose texts count; None: all that are read.
            held: See TextCheck.
        """
        check = TextCheck(self.path, self.limits, held)
        for batch in self.batches(columns, rows, most=self.limits.batch // _CONVERTED):
            check.add(batch, used)
            yield batch


@dataclass
class TextCheck:
    """Checks texts as they arrive, because a file may say less of itself than is there.

    Attributes:
        path: The file.
        limits: The limits.
        held: Whether all texts are held in memory, so that together they may take no more than a batch.
    """

    path: str
    limits: ByteLimits
    held: bool = False
    _rows: int = 0
    _bytes: int = 0
    _together: dict[int, int] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch, used: Collection[str] | None = None) -> None:
        """Check rows: each text, those of rows that are taken together, and all texts so far.

        Args:
            batch: The rows.
            used: The columns whose texts count; None: all.

        Raises:
            TooLargeError: If they break a limit.
        """
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for lengths in _lengths(column) if used is None or name in used else ():
                self._count(name, lengths, batch.num_rows)
        self._rows += batch.num_rows
        self._together = {n: size for n, size in self._together.items() if n == self._rows // _TOGETHER}
        most, name = (self.limits.batch, "batch_bytes") if self.held else (self.limits.file, "table_bytes")
        if self._bytes > most:
            raise TooLargeError(
                f"{self.path}: its texts take more than limits.{name} = {most:,} bytes; split it, or raise the limit"
            )

    def _count(self, name: str, lengths: pa.Array, rows: int) -> None:
        """Check the texts of a column, or of a field of it, in some rows."""
        if not len(lengths):
            return
        longest = pc.max(lengths).as_py() or 0
        if longest > self.limits.text:
            row = self._rows + pc.index(lengths, longest).as_py() + 1
            where = f"row {row:,}" if len(lengths) == rows else f"a row after {self._rows:,}"
            raise TooLargeError(
                f"{self.path}: {_short(name)} of {where} has {longest:,} bytes, more than limits.text_bytes = "
                f"{self.limits.text:,}; shorten it, or raise the limit"
            )
        size = pc.sum(lengths).as_py() or 0
        self._bytes += size
        if longest * _TOGETHER * _SHARE > self.limits.batch:
            self._add_together(lengths if len(lengths) == rows else pa.array([size]))

    def _add_together(self, lengths: pa.Array) -> None:
        """Add the lengths of texts to those of the rows that are taken together with them."""
        at = 0
        while at < len(lengths):
            window, inside = divmod(self._rows + at, _TOGETHER)
            some = lengths.slice(at, _TOGETHER - inside)
            size = self._together.get(window, 0) + (pc.sum(some).as_py() or 0)
            self._together[window] = size
            if size > self.limits.batch // _SHARE:
                raise TooLargeError(
                    f"{self.path}: the texts of {_TOGETHER:,} rows from row {window * _TOGETHER + 1:,} on have "
                    f"{size:,} bytes, more than a quarter of limits.batch_bytes = {self.limits.batch:,}; shorten "
                    "them, or raise the limit"
                )
            at += len(some)


def _lengths(column: pa.Array) -> Iterator[pa.Array]:
    """Yield the lengths of the texts of a column, also of those within lists, maps and structs, field by field."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _lengths(column.storage)
    elif pa.types.is_dictionary(kind):
        yield from (values.take(column.indices) for values in _lengths(column.dictionary))
    elif pa.types.is_struct(kind):
        for each in column.flatten():
            yield from _lengths(each)
    elif pa.types.is_map(kind):
        pair = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
        yield from _lengths(column.cast(pa.list_(pair)).flatten())
    elif _is_list(kind):
        yield from _lengths(column.flatten())
    elif pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        yield from _lengths(column.cast(pa.large_binary()))
    elif is_text(kind):  # a parquet may hold text that is not UTF-8
        yield from _lengths(column.view(pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()))
    elif is_bytes(kind) or pa.types.is_fixed_size_binary(kind):
        yield pc.binary_length(column).cast(pa.int64())


def _is_list(kind: pa.DataType) -> bool:
    lists, views = pa.types.is_list(kind) or pa.types.is_large_list(kind), pa.types.is_list_view(kind)
    return lists or views or pa.types.is_large_list_view(kind) or pa.types.is_fixed_size_list(kind)


def _short(name: str) -> str:
    """Return the name of a column for a message. It may be of any length, and what follows it is to be read."""
    return legible(name, _NAME)


def open_parquet(path: str, source: BinaryIO, limits: ByteLimits) -> ParquetTable:
    """Open a parquet after looking at what it says of its size.

    Args:
        path: Its name in messages.
        source: The file, which stays open.
        limits: The limits.

    Raises:
        TooLargeError: If its footer is too large, or its rows are too many.
        ArrowException: If it is no parquet. OSError, UnicodeError and others likewise.
    """
    size = source.seek(0, io.SEEK_END)
    if (footer := footer_size(source, size)) > limits.record:
        raise TooLargeError(
            f"{path}: its footer has {footer:,} bytes, more than limits.record_bytes = {limits.record:,}; write it "
            "with fewer columns or row groups, or raise the limit"
        )
    layout = read_layout(source, size)
    if layout.rows > _ROWS:
        raise TooLargeError(f"{path} has {layout.rows:,} rows, more than {_ROWS:,}; split it")
    if len(layout.leaves) > _LEAVES:
        raise TooLargeError(f"{path} has {len(layout.leaves):,} columns, more than {_LEAVES:,}; write it with fewer")
    source.seek(0)
    return ParquetTable(path, pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False), layout, limits, source)
