"""Reading an Arrow file in place: its messages, and the buffers of its batches.

What belongs here: the form of messages. What does not: which columns there are (`clusters/table.py`).

Arrow's own library takes 150 MB, and a guard reads one table. The file is a stream of messages after a magic number
(https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc): metadata, a
flatbuffer, and a body. Every number is looked at before it is followed, so that whatever the file says, nothing beyond
its own bytes is read and no memory is taken. The messages are read in their order; the places that a footer names are
not used.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"ARROW1\0\0"
SCHEMA, BATCH = 1, 3  # types of messages
INT, TEXT, LIST = 2, 5, 12  # types of fields
_CONTINUES = 0xFFFFFFFF
_KIND, _HEADER, _BODY = 1, 2, 3  # fields of `Message`
_LENGTH, _NODES, _BUFFERS, _COMPRESSION = range(4)  # of `RecordBatch`
_ENDIANNESS, _FIELDS = range(2)  # of `Schema`
_NAME, _TYPE_KIND, _TYPE, _DICTIONARY, _CHILDREN = 0, 2, 3, 4, 5  # of `Field`
_NODE_BYTES, _MOST = 16, 1_000  # of a node or a buffer, and most of them in a message


@dataclass(frozen=True)
class ArrowColumn:
    """A column of a schema, as far as it matters: `bits` and `signed` of a number, the children of a list."""

    name: str
    kind: int
    bits: int = 0
    signed: bool = False
    children: tuple["ArrowColumn", ...] = ()


@dataclass(frozen=True)
class ArrowBatch:
    """A batch of rows.

    Attributes:
        rows: How many.
        nodes: Of each column, and of its children after it: rows, and rows without a value.
        buffers: Their bytes, in the order of the format.
    """

    rows: int
    nodes: list[tuple[int, int]]
    buffers: list[memoryview]


class _Table:
    """A table of a flatbuffer."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - _number(data, at, 4, signed=True)
        self._size = _number(data, self._fields, 2)

    def _place(self, field: int) -> int:
        """Return the place of a field, 0 if it is absent."""
        slot = 4 + 2 * field
        offset = _number(self._data, self._fields + slot, 2) if slot + 2 <= self._size else 0
        return self._at + offset if offset else 0

    def has(self, field: int) -> bool:
        return self._place(field) > 0

    def number(self, field: int, size: int, *, signed: bool = False) -> int:
        place = self._place(field)
        return _number(self._data, place, size, signed=signed) if place else 0

    def table(self, field: int) -> "_Table":
        place = self._place(field)
        if not place:
            raise ValueError("a part of a message is missing")
        return _Table(self._data, place + _number(self._data, place, 4))

    def _vector(self, field: int) -> tuple[int, int]:
        """Return where the items of a vector begin, and how many there are."""
        place = self._place(field)
        if not place:
            return 0, 0
        start = place + _number(self._data, place, 4)
        count = _number(self._data, start, 4)
        if count > _MOST:
            raise ValueError(f"a message has {count:,} parts")
        return start + 4, count

    def text(self, field: int) -> str:
        start, count = self._vector(field)
        if start + count > len(self._data):
            raise ValueError("a name is cut off")
        return bytes(self._data[start : start + count]).decode()

    def tables(self, field: int) -> list["_Table"]:
        start, count = self._vector(field)
        places = range(start, start + 4 * count, 4)
        return [_Table(self._data, place + _number(self._data, place, 4)) for place in places]

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """Return the structures of a vector, each of two numbers of 8 bytes."""
        start, count = self._vector(field)
        places = range(start, start + _NODE_BYTES * count, _NODE_BYTES)
        return [tuple(_number(self._data, at + part, 8, signed=True) for part in (0, 8)) for at in places]  # type: ignore[misc]


def _number(data: memoryview, at: int, size: int, *, signed: bool = False) -> int:
    if not 0 <= at <= len(data) - size:
        raise ValueError("a message points beyond itself")
    return int.from_bytes(data[at : at + size], "little", signed=signed)


def schema(data: memoryview) -> tuple[ArrowColumn, ...]:
    """Return the columns of a message that is a schema. Raises ValueError.

    Args:
        data: Its metadata.
    """
    table = _message(data).table(_HEADER)
    if table.number(_ENDIANNESS, 2):
        raise ValueError("its numbers are not little-endian")
    return tuple(map(_column, table.tables(_FIELDS)))


def _column(field: _Table, depth: int = 0) -> ArrowColumn:
    if field.has(_DICTIONARY) or depth > 1:
        raise ValueError("a column has a dictionary, or lists of lists")
    kind = field.number(_TYPE_KIND, 1)
    bits, signed = 0, False
    if kind == INT:
        number = field.table(_TYPE)
        bits, signed = number.number(0, 4, signed=True), bool(number.number(1, 1))
    children = tuple(_column(child, depth + 1) for child in field.tables(_CHILDREN))
    return ArrowColumn(field.text(_NAME), kind, bits, signed, children)


def _message(data: memoryview) -> _Table:
    return _Table(data, _number(data, 0, 4))


def messages(file: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield the type, the metadata and the body of each message of a file. Raises ValueError.

    Args:
        file: Its bytes.
    """
    if len(file) <= len(MAGIC) or bytes(file[: len(MAGIC)]) != MAGIC:
        raise ValueError("it is no Arrow file")
    at = len(MAGIC)
    while True:
        if _number(file, at, 4) != _CONTINUES:
            raise ValueError("a message does not begin as one")
        size = _number(file, at + 4, 4, signed=True)
        if not size:
            return
        start = at + 8
        if not 0 < size <= len(file) - start:
            raise ValueError("a message is longer than the file")
        metadata = file[start : start + size]
        message = _message(metadata)
        body = message.number(_BODY, 8, signed=True)
        if not 0 <= body <= len(file) - start - size:
            raise ValueError("a message is longer than the file")
        yield message.number(_KIND, 1), metadata, file[start + size : start + size + body]
        at = start + size + body


def batch(metadata: memoryview, body: memoryview) -> ArrowBatch:
    """Return a message that is a batch. Raises ValueError.

    Args:
        metadata: Of the message.
        body: Its body.
    """
    table = _message(metadata).table(_HEADER)
    if table.has(_COMPRESSION):
        raise ValueError("is compressed, as no export writes it")
    rows, nodes, buffers = table.number(_LENGTH, 8, signed=True), table.pairs(_NODES), table.pairs(_BUFFERS)
    for length, absent in nodes:
        if not 0 <= absent <= length:
            raise ValueError("a column has fewer rows than values that are absent")
    parts = []
    for start, size in buffers:
        if start < 0 or size < 0 or start + size > len(body):
            raise ValueError("a column lies beyond its message")
        parts.append(body[start : start + size])
    return ArrowBatch(rows, nodes, parts)
