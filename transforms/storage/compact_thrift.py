"""Thrift's compact protocol, in which parquets write their footers and the headers of pages.

What belongs here: reading the fields of it that are wanted, in bounded memory and time. What does not: what the fields
mean (`catalog/parquet_layout.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

_DEEPEST = 40  # of values within values
_KEPT = 600_000  # structs; with its fields, each takes up to 400 bytes
_BROKEN = "its footer or the header of a page is broken"

type Struct = Mapping[int, Any]
type KeptFields = Mapping[int, "KeptFields | None"]
"""Numbers of the fields to keep, each with those of the structs that it holds; None: it is a number or bytes."""


class CompactThrift:
    """Structs of the compact protocol, one after another.

    Attributes:
        at: Where the next one begins.
    """

    def __init__(self, data: bytes, most: int) -> None:
        """Begin to read.

        Args:
            data: The structs.
            most: Values that may be in them, kept or not, because each takes time.
        """
        self.at = 0
        self._data, self._most, self._read, self._kept = data, most, 0, 0

    def struct(self, wanted: KeptFields | None, depth: int = 0) -> dict[int, Any]:
        """Return the wanted fields of the next struct by number. A field of another kind than is wanted is left out.

        Args:
            wanted: The fields.
            depth: How deep in others it is.

        Raises:
            IndexError: If the data end before it does.
            ArrowInvalid: If it is none, or too large.
        """
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            if wanted is not None and number in wanted:
                value = kind == 1 if kind in (1, 2) else self._value(kind, wanted[number], depth + 1)
                if value is not None:
                    fields[number] = value
            elif kind not in (1, 2):
                self._value(kind, None, depth + 1)
        return fields

    def _value(self, kind: int, wanted: KeptFields | None, depth: int) -> Any:  # noqa: ANN401 -- any value of Thrift
        """Return a number, bytes, or what is wanted of structs; None for others, which are read and forgotten."""
        self._read += 1
        self._kept += kind == 12 and wanted is not None
        if self._read > self._most or self._kept > _KEPT or depth > _DEEPEST:
            raise pa.ArrowInvalid(
                f"its footer or the header of a page holds more than {self._most:,} values or {_KEPT:,} records, or "
                "nests them too deeply"
            )
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
                if wanted is None or of != 12:
                    return self._skip((of,), size, depth)
                return [self._value(of, wanted, depth + 1) for _ in range(size)]
            case 11:
                size = self._varint()
                kinds = self._byte() if size else 0
                return self._skip((kinds >> 4, kinds & 15), size, depth)
            case 12:
                found = self.struct(wanted, depth)
                return None if wanted is None else found
            case 13:
                return self._bytes(16)
        raise pa.ArrowInvalid(_BROKEN)

    def _skip(self, kinds: Sequence[int], times: int, depth: int) -> None:
        for _ in range(times):
            for kind in kinds:
                self._value(kind, None, depth + 1)

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
                raise pa.ArrowInvalid(_BROKEN)

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
