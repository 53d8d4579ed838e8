"""Thrift's compact protocol, in which parquets write their footers and the headers of pages.

What belongs here: reading it without knowing its structs, in memory of a few times its size. What does not: what the
fields mean (`catalog/parquet_layout.py`).
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

_DEEPEST, _STRUCTS = 40, 1_000_000  # structs within structs, and all: an empty one has a single byte

type Struct = Mapping[int, Any]


class CompactThrift:
    """Values of the compact protocol, one after another.

    Attributes:
        at: Where the next one begins.
    """

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data, self._structs = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of the next struct by number.

        Args:
            depth: How deep in others it is.

        Raises:
            IndexError: If the data end before it does.
            ArrowInvalid: If it is none, or too large.
        """
        self._structs += 1
        if depth > _DEEPEST or self._structs > _STRUCTS:
            raise pa.ArrowInvalid(f"its footer holds more than {_STRUCTS:,} records, or nests them too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401 -- any value of Thrift
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._varint())
            case 9 | 10:
                head = self._byte()
                size, of = head >> 4, head & 15
                size = self._varint() if size == 15 else size
                return [self._value(of, depth + 1) for _ in range(size)]
            case 11:
                size = self._varint()
                kinds = self._byte() if size else 0
                return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in range(size)]
            case 12:
                return self.struct(depth + 1)
            case 13:
                return self._bytes(16)
        raise pa.ArrowInvalid("its footer or the header of a page is broken")

    def _byte(self) -> int:
        found = self._data[self.at]
        self.at += 1
        return found

    def _bytes(self, size: int) -> bytes:
        if size > len(self._data) - self.at:
            raise IndexError
        self.at += size
        return self._data[self.at - size : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise pa.ArrowInvalid("its footer or the header of a page is broken")

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
