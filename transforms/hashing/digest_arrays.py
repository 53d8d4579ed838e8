"""Digests of 32 bytes (PDQ hashes, SHA-256) as Arrow columns and NumPy rows, and looking them up.

What belongs here: converting between the two, and finding the row of a set that has a value. What does not: grouping
equal rows (`hashing/grouping.py`), comparing near ones (`joins/hamming/join.py`).
"""

import secrets

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BYTES = 32
Rows = npt.NDArray[np.uint8]
_HIGH = np.uint64(0xFFFFFFFF00000000)
_NO_DIGIT = np.uint8(255)
_DIGITS = np.full(256, _NO_DIGIT, np.uint8)  # the value of a hexadecimal digit
for _value, _digit in enumerate("0123456789abcdef"):
    _DIGITS[[ord(_digit), ord(_digit.upper())]] = _value


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


class Lookup:
    """Finds digests in a set: uint8 of shape (n, 32), without repeats.

    Memory: 16 bytes a digest besides the digests. They are sorted by a hash with random keys (multilinear over words of
    32 bits, twice: Lemire, Kaser, "Strongly universal string hashing is fast", 2014), so that no choice of digests,
    such as perceptual hashes that begin alike, makes it slow.
    """

    def __init__(self, digests: Rows) -> None:
        self._digests = np.ascontiguousarray(digests)
        self._keys = np.frombuffer(secrets.token_bytes(2 * 9 * 8), np.uint64).reshape(2, 9)
        hashed = self._hash(self._digests)
        self._order = np.argsort(hashed, kind="stable")
        self._sorted = hashed[self._order]

    def _hash(self, digests: Rows) -> npt.NDArray[np.uint64]:
        words = digests.view(np.uint32).reshape(len(digests), BYTES // 4)
        high, low = (keys[0] + sum(words[:, i] * keys[i + 1] for i in range(BYTES // 4)) for keys in self._keys)
        return (high & _HIGH) | (low >> np.uint64(32))

    def find(self, digests: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return, for digests of shape (m, 32), the index of each in the set, and whether the set has it."""
        position = np.zeros(len(digests), np.int64)
        found = np.zeros(len(digests), np.bool_)
        if not len(self._digests) or not len(digests):
            return position, found
        digests = np.ascontiguousarray(digests)
        hashed = self._hash(digests)
        place = np.searchsorted(self._sorted, hashed)
        open_ = np.arange(len(digests))
        while len(open_):  # digests of the same hash lie side by side
            place, open_ = _within(place, open_, len(self._sorted))
            same = self._sorted[place] == hashed[open_]
            place, open_ = place[same], open_[same]
            there = self._order[place]
            equal = (self._digests[there] == digests[open_]).all(axis=1)
            position[open_[equal]], found[open_[equal]] = there[equal], True
            place, open_ = place[~equal] + 1, open_[~equal]
        return position, found


def _within(
    place: npt.NDArray[np.int64], open_: npt.NDArray[np.int64], end: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    inside = place < end
    return place[inside], open_[inside]
