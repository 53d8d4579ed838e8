"""What a parquet says of itself before anything in it is decompressed: row groups, column chunks, pages.

What belongs here: its footer and the headers of its pages, which decide how much memory its rows take. What does not:
limits, and reading rows (`catalog/byte_limits.py`).

The sizes in a footer may be wrong, so they bound nothing. A page is decompressed into as many bytes as its own header
says, and a dictionary or a delta encoding makes each of its values as long as the longest one at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from transforms.storage.compact_thrift import CompactThrift, KeptFields, Struct

_MAGIC = b"PAR1"
_TAIL = 8  # length of the footer and the magic bytes
_HEADER, _LONGEST_HEADER = 1 << 10, 16 << 20  # Arrow reads no longer header of a page
_BYTE_ARRAY, _FIXED = 6, 7
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}  # of a value in memory, by physical type
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3  # kinds of pages
_BY_DICTIONARY, _DELTA = frozenset({2, 8}), 7  # encodings that expand
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_OFFSET = 8  # bytes that a value takes in memory besides itself
_FOOTER: KeptFields = {
    2: {1: None, 2: None, 3: None, 4: None, 5: None},  # its columns: type, length, repetition, name, children
    3: None,  # rows
    4: {1: {3: {4: None, 5: None, 7: None, 9: None, 11: None}}, 3: None},  # row groups: chunks, rows
}
_PAGE: KeptFields = {1: None, 2: None, 3: None, 5: {1: None, 2: None}, 8: {1: None, 4: None}}
_FOOTER_VALUES, _PAGE_VALUES = 8_000_000, 10_000  # a footer has some 30 for each chunk
_SCANNED, _SCANNED_A_BYTE = 1_000_000, 4  # values of a dictionary that are looked at: at most, and for each packed byte


@dataclass(frozen=True)
class Leaf:
    """A column as it is stored: a column of the table, or a field within one.

    Attributes:
        name: The column of the table.
        kind: Its physical type.
        width: Bytes of a value in memory; 0 if they differ.
        repeated: Whether a row has any number of values.
    """

    name: str
    kind: int
    width: int
    repeated: bool


@dataclass(frozen=True)
class ColumnChunk:
    """The values of a leaf in a row group: where its pages are, how many values, and how pages are compressed."""

    start: int
    size: int
    values: int
    codec: int


@dataclass(frozen=True)
class RowGroup:
    """A row group: how many rows, and a chunk for each leaf."""

    rows: int
    chunks: Sequence[ColumnChunk]


@dataclass(frozen=True)
class Span:
    """The most bytes that values of a chunk take in memory.

    Attributes:
        page: Of its largest page, decompressed.
        value: Of a value, on an average over its largest page; of a dictionary, its longest.
        all_values: Of all together.
    """

    page: int
    value: int
    all_values: int


@dataclass(frozen=True)
class ParquetLayout:
    """The leaves and row groups of a file."""

    leaves: Sequence[Leaf]
    groups: Sequence[RowGroup]

    @property
    def rows(self) -> int:
        """The count of rows."""
        return sum(group.rows for group in self.groups)


def footer_size(file: BinaryIO, size: int) -> int:
    """Return the size of a file's footer. Raises ArrowInvalid if the file does not end as a parquet.

    Args:
        file: The file.
        size: Its size.
    """
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    if len(tail) < _TAIL or tail[4:] != _MAGIC or (found := int.from_bytes(tail[:4], "little")) > size - _TAIL:
        raise pa.ArrowInvalid("it does not end as a parquet")
    return found


def read_layout(file: BinaryIO, size: int) -> ParquetLayout:
    """Read the footer of a file. Raises ArrowInvalid if it is broken.

    Args:
        file: The file.
        size: Its size.
    """
    length = footer_size(file, size)
    file.seek(size - _TAIL - length)
    try:
        said = CompactThrift(file.read(length), _FOOTER_VALUES).struct(_FOOTER)
        leaves = _leaves(said[2])
        groups = [_group(group, size, len(leaves)) for group in said.get(4, ())]
    except (LookupError, TypeError, AttributeError) as error:
        raise pa.ArrowInvalid("its footer is broken") from error
    if any(
        each.repeated is False and group.chunks[at].values != group.rows
        for group in groups
        for at, each in enumerate(leaves)
    ) or said[3] != sum(group.rows for group in groups):
        raise pa.ArrowInvalid("its footer contradicts itself about the count of rows")
    if sum(chunk.size for group in groups for chunk in group.chunks) > size:
        raise pa.ArrowInvalid("its footer names the same bytes several times")  # and each takes time
    return ParquetLayout(leaves, groups)


def _leaves(elements: Sequence[Struct]) -> list[Leaf]:
    found: list[Leaf] = []
    at = 1
    waiting = [(elements[0].get(5, 0), "", False)]  # children that are still to come, column, repeated
    while waiting:
        left, column, repeated = waiting.pop()
        if left <= 0:
            continue
        waiting.append((left - 1, column, repeated))
        each = elements[at]
        at += 1
        name = column or each[4].decode(errors="replace")
        several = repeated or each.get(3) == 2
        if children := each.get(5, 0):
            waiting.append((children, name, several))
        else:
            kind = each[1]
            width = each.get(2, 0) if kind == _FIXED else 0 if kind == _BYTE_ARRAY else _WIDTHS[kind]
            found.append(Leaf(name, kind, width, several))
    if at != len(elements):
        raise LookupError
    return found


def _group(said: Struct, size: int, leaves: int) -> RowGroup:
    chunks = []
    for column in said[1]:
        about = column[3]
        start = about[9]
        if 0 < (dictionary := about.get(11, 0)) < start:
            start = dictionary
        if start < 0 or about[7] < 0 or start + about[7] > size or about[5] < 0:
            raise pa.ArrowInvalid("its footer names bytes beyond its end")
        chunks.append(ColumnChunk(start, about[7], about[5], about[4]))
    if len(chunks) != leaves or said[3] < 0:
        raise LookupError
    return RowGroup(said[3], chunks)


def measure(file: BinaryIO, leaf: Leaf, chunk: ColumnChunk, most: int) -> Span:
    """Return how much memory the values of a chunk take. Raises ArrowInvalid if the header of a page is broken.

    Args:
        file: The file.
        leaf: Its column.
        chunk: The chunk.
        most: Bytes above which no dictionary is read: that its page is too large is all that matters.
    """
    largest = densest = total = seen = 0
    longest, dictionaries = leaf.width, 0
    for header, at in _pages(file, chunk):
        kind, page = header[1], header[2]
        largest = max(largest, page)
        dictionaries += kind == _DICTIONARY
        if dictionaries > 1:
            raise pa.ArrowInvalid("a column has two dictionaries")
        if kind == _DICTIONARY and leaf.kind == _BYTE_ARRAY and chunk.values:
            longest = page if page > most else _longest(file, at, header, chunk.codec)
        if kind not in (_DATA, _DATA_2):
            continue
        about = header[5 if kind == _DATA else 8]
        values, encoding = about[1], about[2 if kind == _DATA else 4]
        if values < 0:
            raise pa.ArrowInvalid("the header of a page is broken")
        seen += values
        if leaf.kind != _BYTE_ARRAY:
            bytes_ = values * max(1, leaf.width)
        elif encoding in _BY_DICTIONARY or encoding == _DELTA:
            bytes_ = values * (_OFFSET + (page if encoding == _DELTA else longest))
        else:
            bytes_ = values * _OFFSET + page
        total += bytes_
        densest = max(densest, -(-bytes_ // max(1, values)))
    return Span(largest, densest, total)


def _pages(file: BinaryIO, chunk: ColumnChunk) -> Iterator[tuple[Struct, int]]:
    """Yield the header of each page, and where its bytes begin."""
    at, end, seen = chunk.start, chunk.start + chunk.size, 0
    while seen < chunk.values and at < end:
        try:
            header, length = _page_header(file, at, end)
            packed, unpacked = header[3], header[2]
            about = header[5] if header[1] == _DATA else header[8] if header[1] == _DATA_2 else {1: 0}
            seen += about[1]
        except (LookupError, TypeError, AttributeError) as error:
            raise pa.ArrowInvalid("the header of a page is broken") from error
        if packed < 0 or unpacked < 0 or at + length + packed > end:
            raise pa.ArrowInvalid("a page goes on beyond its column")
        yield header, at + length
        at += length + packed


def _page_header(file: BinaryIO, at: int, end: int) -> tuple[Struct, int]:
    size = _HEADER
    while True:
        file.seek(at)
        data = file.read(min(size, end - at))
        reader = CompactThrift(data, _PAGE_VALUES)
        try:
            return reader.struct(_PAGE), reader.at
        except IndexError:
            if size >= min(end - at, _LONGEST_HEADER):
                raise
            size = min(size * 16, _LONGEST_HEADER)


def _longest(file: BinaryIO, at: int, header: Struct, codec: int) -> int:
    """Return the length of the longest value of a dictionary.

    It is that of its page if it cannot be read, or holds far more values than its packed bytes can tell apart.
    """
    page: int = header[2]
    if codec not in _CODECS:
        return page
    file.seek(at)
    data = file.read(header[3])
    try:
        if name := _CODECS[codec]:
            data = pa.Codec(name).decompress(data, page, asbytes=True) if page else b""
    except (OSError, ValueError, pa.ArrowException):
        return page  # who reads it says so
    longest = place = 0
    left = min(_SCANNED, _SCANNED_A_BYTE * (header[3] + 1))
    while place + 4 <= len(data):
        if not left:
            return page
        left -= 1
        length = int.from_bytes(data[place : place + 4], "little")
        longest, place = max(longest, length), place + 4 + length
    return min(longest, page)
