"""Digests of 32 bytes (PDQ hashes, SHA-256) as Arrow columns and NumPy rows.

What belongs here: converting between the two, and picking some of many. What does not: finding equal ones
(`hashing/digest_tables.py`), comparing near ones (`joins/hamming/join.py`).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BYTES = 32
Rows = npt.NDArray[np.uint8]
_NO_DIGIT = np.uint8(255)
_DIGITS = np.full(256, _NO_DIGIT, np.uint8)  # the value of a hexadecimal digit
for _value, _digit in enumerate("0123456789abcdef"):
    _DIGITS[[ord(_digit), ord(_digit.upper())]] = _value


class DigestRows(Protocol):
    """Digests that are read piece by piece. An array of shape (n, 32), or one that is mapped from a file, is one."""

    def __len__(self) -> int:
        """Return the number of digests."""

    def __getitem__(self, part: slice, /) -> Rows:
        """Return the digests of a slice, uint8 of shape (k, 32)."""


@dataclass(frozen=True)
class PickedDigests:
    """Some of many digests, copied as they are read.

    Attributes:
        values: uint8 of shape (n, 32), all of them.
        positions: Indices of those that are picked.
    """

    values: Rows
    positions: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice | npt.NDArray[np.integer]) -> Rows:
        return self.values[self.positions[part]]

    def pick(self, positions: npt.NDArray[np.integer]) -> "PickedDigests":
        """Return some of these digests.

        Args:
            positions: Indices into these.
        """
        return PickedDigests(self.values, self.positions[positions])


def column(rows: Rows) -> pa.FixedSizeBinaryArray:
    """Return digests, uint8 of shape (n, 32), as an Arrow column."""
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(BYTES), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )


def rows(column: pa.Array) -> Rows:
    """Return an Arrow column of digests without nulls as uint8 of shape (n, 32)."""
    if not len(column):
        return np.empty((0, BYTES), np.uint8)
    data = np.frombuffer(column.buffers()[1], np.uint8)
    return data[column.offset * BYTES : (column.offset + len(column)) * BYTES].reshape(-1, BYTES)


def of_hex(column: pa.Array) -> Rows:
    """Return an Arrow column of digests in hexadecimal, without nulls, as uint8 of shape (n, 32).

    No Python string is made for a row, whose memory would stay with the process.

    Raises:
        ValueError: If one is of another length, or of other characters.
    """
    texts = column.cast(pa.large_string())
    ends = np.frombuffer(texts.buffers()[1] or bytes(8), np.int64)[texts.offset : texts.offset + len(texts) + 1]
    digits = _DIGITS[np.frombuffer(texts.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]]
    if (np.diff(ends) != 2 * BYTES).any() or (digits == _NO_DIGIT).any():
        raise ValueError(f"digests of {2 * BYTES} hexadecimal digits expected")
    return (digits[0::2] << np.uint8(4) | digits[1::2]).reshape(-1, BYTES)
