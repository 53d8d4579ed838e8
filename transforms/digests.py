"""Fingerprints of 32 bytes (PDQ hashes, SHA-256) as Arrow columns and NumPy rows, and looking them up.

What belongs here: the way between the two, and which row of a set has a value. What does not: grouping equal rows
(`grouping.py`), comparing near ones (`hamming_join.py`).
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BYTES = 32
Rows = npt.NDArray[np.uint8]


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


class Lookup:
    """Finds digests among others.

    digests: uint8 of shape (n, 32), without repeats. Memory: 16 bytes a digest beside them.
    """

    def __init__(self, digests: Rows) -> None:
        self._digests = np.ascontiguousarray(digests)
        self._first = self._digests.view(np.uint64)[:, 0] if len(digests) else np.empty(0, np.uint64)
        self._order = np.argsort(self._first, kind="stable")
        self._sorted = self._first[self._order]

    def find(self, wanted: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return, for digests of shape (m, 32), their positions, and which of them are there at all."""
        position = np.zeros(len(wanted), np.int64)
        found = np.zeros(len(wanted), np.bool_)
        if not len(self._digests) or not len(wanted):
            return position, found
        wanted = np.ascontiguousarray(wanted)
        first = wanted.view(np.uint64)[:, 0]
        place = np.searchsorted(self._sorted, first)
        open_ = np.arange(len(wanted))
        while len(open_):  # digests that share their first 8 bytes lie side by side
            place, open_ = _within(place, open_, len(self._sorted))
            same = self._sorted[place] == first[open_]
            place, open_ = place[same], open_[same]
            there = self._order[place]
            equal = (self._digests[there] == wanted[open_]).all(axis=1)
            position[open_[equal]], found[open_[equal]] = there[equal], True
            place, open_ = place[~equal] + 1, open_[~equal]
        return position, found


def _within(
    place: npt.NDArray[np.int64], open_: npt.NDArray[np.int64], end: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    inside = place < end
    return place[inside], open_[inside]
