"""Rows whose sketches are alike: told on a CPU in a tenth of the time that a product takes, and without the vectors.

What belongs here: how alike sketches must be, and the loop that compares. What does not: sketches
(`joins/cosine/sketches.py`), which rows are compared, and their cosines (`joins/cosine/cells.py`).

Sketches are alike if they differ in few of the first 256 bits, and in few of all. Both limits lie 2.5 standard
deviations beyond what pairs at the threshold differ in: one in a hundred of those is missed, and hardly any that is
nearer. Bits depend on the vectors alone, on every device.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.joins.cosine.sketches import bits, radius
from transforms.joins.hamming import intrinsics as lanes
from transforms.joins.hamming.intrinsics import LANES

Sketches = npt.NDArray[np.uint8]
_FIRST = 256  # bits
_MISS = 2.5  # standard deviations
_WORD = 32
_ROOM = 1 << 16
_BLOCK = 512  # sketches that stay in the cache while all that are asked for are compared with them


@dataclass(frozen=True)
class Likeness:
    """How many bits the sketches of a pair may differ in: in the first words, and in all."""

    words: int
    first: int
    all: int


def likeness(cosine: float, dimension: int) -> Likeness:
    """Return how alike sketches of near vectors are.

    Args:
        cosine: Least cosine of a pair.
        dimension: Length of a vector.
    """
    width = bits(dimension)
    first = min(_FIRST, width)
    return Likeness(first // _WORD, radius(cosine, first, _MISS), radius(cosine, width, _MISS))


def alike(left: Sketches, right: Sketches, how: Likeness) -> npt.NDArray[np.bool_]:
    """Return, row by row, whether two sketches are alike.

    Args:
        left: uint8 of shape (n, bytes).
        right: Likewise.
        how: What counts.
    """
    differing = np.bitwise_count(left ^ right)
    first = differing[:, : how.words * _WORD // 8].sum(axis=1, dtype=np.int64)
    return np.asarray((first <= how.first) & (differing.sum(axis=1, dtype=np.int64) <= how.all))


@dataclass(frozen=True)
class SketchTable:
    """Sketches twice: word by word, to compare one with 16 at a time, and one behind the other.

    Attributes:
        words: uint32 of shape (words × step,): word w of sketch i is at i + w × step.
        step: Step from word to word.
        rows: uint64 of shape (n, words / 2).
    """

    words: npt.NDArray[np.uint32]
    step: int
    rows: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, sketches: Sketches) -> "SketchTable":
        """Return a table of sketches, uint8 of shape (n, bytes)."""
        rows = np.ascontiguousarray(sketches)
        by_word = rows.view(np.uint32).T
        step = by_word.shape[1] + LANES  # the last ones are read with what follows them
        words = np.zeros((len(by_word), step), np.uint32)
        words[:, : by_word.shape[1]] = by_word
        return cls(words.ravel(), step, rows.view(np.uint64))


def pairs_alike(
    asked: Sketches, others: SketchTable, part: tuple[int, int], how: Likeness
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which sketches are alike which of a range of others. Runs in one thread, without the GIL.

    Args:
        asked: uint8 of shape (n, bytes).
        others: The others.
        part: The first of them that is compared, and the one behind the last.
        how: What counts.
    """
    rows = np.ascontiguousarray(asked)
    sides = rows.view(np.uint32), rows.view(np.uint64), others.words, others.step, others.rows
    room = _ROOM
    while True:
        row, other = np.empty(room, np.int64), np.empty(room, np.int64)
        found = _pairs(sides, part, (how.words, np.uint32(how.first), how.all), row, other)
        if found <= room:
            return row[:found].copy(), other[:found].copy()
        room = found


@nb.njit(nogil=True, cache=True)
def _pairs(sides, part, how, row, other):  # noqa: ANN001, ANN202
    """Write the pairs that are alike, as many as fit, and return the count of all."""
    asked, whole, others, step, wholes = sides
    (low, high), (words, first, most) = part, how
    found, total, flat = 0, asked.shape[1], asked.ravel()
    for block in range(low, high, _BLOCK):
        end = min(high, block + _BLOCK)
        for i in range(len(asked)):
            one = i * total
            for j in range(block, end, LANES):
                if words == 8:
                    near = lanes.sieved(flat, one, 1, others, j, step, first, (0, 1, 2, 3, 4, 5, 6, 7))
                else:
                    near = lanes.sieved(flat, one, 1, others, j, step, first, (0, 1, 2, 3))
                if end - j < LANES:
                    near &= (1 << (end - j)) - 1
                while near:
                    k = j + lanes.lowest(near)
                    near &= near - 1
                    differing = 0
                    for word in range(whole.shape[1]):
                        differing += np.int64(lanes.popcount(whole[i, word] ^ wholes[k, word]))
                    if differing <= most:
                        if found < len(row):
                            row[found], other[found] = i, k
                        found += 1
    return found
