"""Equal rows: digests and hashes collapsed to their different values.

What belongs here: exact equality of rows of bytes. What does not: rows that are only close (`joins/hamming/join.py`),
reading them from tables (`hashing/digest_arrays.py`).
"""

import secrets
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class RowGroups:
    """Rows grouped by equal values, in the order in which the groups first appear.

    Attributes:
        first: The first row of each group, int64 of shape (g,).
        group: The group of each row, int32 of shape (n,), or int64 from 2³¹ rows on.
    """

    first: npt.NDArray[np.int64]
    group: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.first)


def collapse(values: npt.NDArray[np.uint8]) -> RowGroups:
    """Group equal rows of uint8 of shape (n, w), C-contiguous. Raises ValueError for any other array.

    One pass over a hash table compares rows byte by byte. Memory: 16 to 32 bytes a row besides the result. The hash is
    multilinear over words of 32 bits with secret random keys, so that any two different rows, even chosen ones, collide
    with a chance of 2⁻³² (Lemire, Kaser: "Strongly universal string hashing is fast", 2014). The keys change the time
    it takes, never the result.
    """
    if values.ndim != 2 or values.dtype != np.uint8 or not values.flags.c_contiguous:
        raise ValueError(f"values must be uint8 of shape (n, w), C-contiguous, not {values.dtype} of {values.shape}")
    n, width = values.shape
    keys = np.frombuffer(secrets.token_bytes(8 * (width // 4 + 2)), np.uint64)
    # A slot holds 32 bits of a row's hash and its group's number plus one: most different rows differ there already.
    slots = np.zeros(1 << max(4, (2 * n - 1).bit_length()), np.uint64) if n else np.zeros(1, np.uint64)
    group: npt.NDArray[np.integer] = np.empty(n, np.int32 if n < 2**31 else np.int64)
    first = np.empty(n, np.int64)
    found = _collapse(values, keys, slots, group, first)
    return RowGroups(first[:found].copy(), group)


@nb.njit(inline="always")
def _hash(row, keys):  # noqa: ANN001, ANN202
    total, word = keys[0], 0
    for start in range(0, len(row) - 3, 4):
        word += 1
        value = np.uint64(row[start])
        for byte in range(1, 4):
            value |= np.uint64(row[start + byte]) << np.uint64(8 * byte)
        total += keys[word] * value
    rest = len(row) % 4
    value = np.uint64(0)
    for byte in range(rest):
        value |= np.uint64(row[len(row) - rest + byte]) << np.uint64(8 * byte)
    return (total + keys[word + 1] * value) >> np.uint64(32)


@nb.njit(inline="always")
def _equal(a, b):  # noqa: ANN001, ANN202
    for byte in range(len(a)):  # noqa: SIM110
        if a[byte] != b[byte]:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _collapse(values, keys, slots, group, first):  # noqa: ANN001, ANN202
    found = 0
    last = np.uint64(len(slots) - 1)
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    for i in range(len(values)):
        tag = _hash(values[i], keys)
        at = tag & last
        while True:
            slot = slots[at]
            if slot == np.uint64(0):
                first[found] = i
                group[i] = found
                found += 1
                slots[at] = (tag << half) | np.uint64(found)
                break
            if slot >> half == tag:
                other = np.int64(slot & low) - 1
                if _equal(values[first[other]], values[i]):
                    group[i] = other
                    break
            at = (at + np.uint64(1)) & last
    return found
