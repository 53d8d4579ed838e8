"""The index of hashes by blocks of 32 bits: its arrays, building it, and what it costs beside a scan.

What belongs here: the layout, why nothing is missed, and the cost model. What does not: the loops
(`guard/hash_index/kernels.py`).

Why it is exact. A hash has 8 blocks of 32 bits, in a ring. If two hashes differ in at most 31 bits, there is a block of
which at most 3 differ, and at most 7 of it and the next together (Qin and Xiao, "Pigeonring: A Principle for Faster
Thresholded Similarity Search", VLDB 2018: with 4 a block, some start keeps all sums below). Of one half of that block
at most 1 differs (Norouzi, Punjani, Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing", 2014). So it
is enough to look, for each half of each block, at the hashes whose half differs in at most a bit: 17 values of 65,536.
Their other half, which lies beside, settles all but one in several hundred.

    pdq_upper_starts, pdq_lower_starts     where each value of a half begins: uint32 (8, 65537)
    pdq_lower, pdq_rows                    by the block: its lower half, and the row, uint16 (8, n) and uint8 (8, n, b)
    pdq_upper                              by the lower half, then the upper: the upper half, uint16 (8, n); the row is
                                           found by both in the other order
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.joins.hamming import scan
from transforms.joins.hamming.scan import NearHashes, Words
from transforms.packages import COMPILED

if COMPILED:
    from transforms.guard.hash_index import kernels as loops
else:
    from transforms.uncompiled import halves as loops  # type: ignore[no-redef]

BLOCKS, HALF = 8, 1 << 16
MOST = 31  # bits within which nothing is missed
LEAST = 64  # hashes of an index: its loops read 32 numbers at once
_ROOM = 4096

# Seconds of one core, fitted to look-ups of 8 hashes on an AMD EPYC (Zen 4): compiled in 0.1 to 10 million, by NumPy in
# 20,000 to a million.
_SCANNED = 0.19e-9 if COMPILED else 3.3e-9  # a hash is compared in a scan
_VISITED = 40e-9 if COMPILED else 0.0  # a value of a half is looked at
_SEEN = 0.9e-9 if COMPILED else 14e-9  # a hash with that value is
_FIXED = 5e-6 if COMPILED else 280e-6  # of a look-up


def row_bytes(rows: int) -> int:
    """Return how many bytes the number of a row takes.

    Args:
        rows: Of all.
    """
    return 3 if rows <= 1 << 24 else 4


def scan_seconds(rows: int, asked: int) -> float:
    """Return the seconds of a scan.

    Args:
        rows: Hashes that are known.
        asked: Hashes that are looked up.
    """
    return rows * asked * _SCANNED


def index_seconds(seen: int, asked: int) -> float:
    """Return the seconds of a look-up in the index.

    Args:
        seen: Hashes that have a half within one bit of one asked for, over all halves.
        asked: Hashes that are looked up.
    """
    return _FIXED + asked * loops.VISITS * _VISITED + seen * _SEEN


def pays(rows: int, asked: int = 8) -> bool:
    """Return whether an index is quicker than a scan, if hashes are uniform.

    Args:
        rows: Hashes that are known.
        asked: Hashes of a look-up.
    """
    return rows >= LEAST and index_seconds(asked * loops.VISITS * rows // HALF, asked) < scan_seconds(rows, asked)


class BlockArrays(NamedTuple):
    """The arrays of an index, whose first axis is the block, or those of one block, without it."""

    upper_starts: npt.NDArray[np.uint32]
    lower_starts: npt.NDArray[np.uint32]
    lower: npt.NDArray[np.uint16]
    upper: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.uint8]


NAMES = tuple(f"pdq_{name}" for name in BlockArrays._fields)
"""The names of the arrays in a bundle."""


def build(word: npt.NDArray[np.uint32]) -> BlockArrays:
    """Return the arrays of one block.

    Args:
        word: The block of all hashes, uint32 (n,).
    """
    order = np.argsort(word, kind="stable")
    ordered = word[order]
    width = row_bytes(len(word))
    rows = np.ascontiguousarray(order.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :width])
    del order
    lower, upper = (ordered & 0xFFFF).astype(np.uint16), (ordered >> 16).astype(np.uint16)
    turned = np.sort(ordered << np.uint32(16) | ordered >> np.uint32(16))
    values = np.arange(HALF + 1)
    return BlockArrays(
        np.searchsorted(upper, values).astype(np.uint32),
        np.searchsorted((turned >> 16).astype(np.uint16), values).astype(np.uint32),
        lower,
        (turned & 0xFFFF).astype(np.uint16),
        rows,
    )


def require(words: Words, arrays: BlockArrays) -> None:
    """Raise ValueError if an index is not that of these hashes, or would be read beyond its ends.

    Args:
        words: The hashes, uint32 (8, n).
        arrays: The index.
    """
    count = words.shape[1]
    for starts in (arrays.upper_starts, arrays.lower_starts):
        if (starts[:, 0] != 0).any() or (starts[:, -1] != count).any() or (starts[:, 1:] < starts[:, :-1]).any():
            raise ValueError(f"pdq_upper_starts.npy or pdq_lower_starts.npy does not ascend from 0 to {count:,}")

    def fits(block: int) -> bool:
        return bool(loops.fits(words[block], *(each[block] for each in arrays)))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        if not all(pool.map(fits, range(BLOCKS))):
            raise ValueError("pdq_rows.npy, pdq_lower.npy or pdq_upper.npy holds other hashes than pdq_words.npy")


@dataclass(frozen=True)
class HashIndex:
    """Hashes that can be looked up. Any number of threads may.

    Attributes:
        words: uint32 (8, n).
        arrays: The index; None: every look-up is a scan.
    """

    words: Words
    arrays: BlockArrays | None

    def find_near(self, asked: npt.NDArray[np.uint8], radius: int) -> NearHashes:
        """Return the known hashes within `radius` bits of any hash asked for, whichever way is quicker.

        Args:
            asked: uint8 of shape (m, 32).
            radius: Most differing bits, at most 31 for the index to be used.
        """
        queries = np.ascontiguousarray(asked).view(np.uint32)
        if self.arrays is None or radius > MOST:
            return scan.find_near(self.words, asked, radius)
        seen = loops.seen(queries, self.arrays.upper_starts, self.arrays.lower_starts)
        if index_seconds(seen, len(queries)) >= scan_seconds(self.words.shape[1], len(queries)):
            return scan.find_near(self.words, asked, radius)
        room = _ROOM
        while True:
            row, distance = np.empty(room, np.int64), np.empty(room, np.int64)
            found = loops.look_up(self.words, *self.arrays, queries, radius, row, distance)
            if found <= room:
                return scan.nearest_of_each(row[:found], distance[:found])
            room = found
