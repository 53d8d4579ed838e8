"""Scans of hashes, by NumPy: see `joins/hamming/kernels.py`.

What belongs here: comparing a few hashes with many. What does not: looking them up in an index
(`uncompiled/halves.py`).
"""

import numpy as np
import numpy.typing as npt

type Words = npt.NDArray[np.uint32]
type Bits = npt.NDArray[np.uint16]
HELD = 4
_BLOCK = 1 << 15  # hashes compared at once


def _bits(known: Words, asked: Words, start: int, stop: int, first: int = 0, last: int | None = None) -> Bits:
    """Return in how many bits of some words hashes differ from one, uint16 (stop - start,)."""
    summed = np.zeros(stop - start, np.uint16)
    for word in range(first, len(asked) if last is None else last):
        summed += np.bitwise_count(known[word, start:stop] ^ asked[word])
    return summed


def within(known: Words, asked: Words, radius: int, row: npt.NDArray, distance: npt.NDArray) -> int:
    """Write the near hashes of a scan, as many as fit, and return the count of all.

    Args:
        known: uint32 (8, n).
        asked: uint32 (m, 8).
        radius: Most differing bits.
        row: int64, for the indices of near hashes.
        distance: int64, for their bits.
    """
    found = 0
    for start in range(0, known.shape[1], _BLOCK):
        stop = min(known.shape[1], start + _BLOCK)
        for one in asked:
            near = np.flatnonzero(_bits(known, one, start, stop, 0, 4) <= radius) + start
            bits = np.bitwise_count(known[:, near] ^ one[:, None]).sum(axis=0, dtype=np.int64)
            near, bits = near[bits <= radius], bits[bits <= radius]
            fit = max(0, min(len(near), len(row) - found))
            row[found : found + fit], distance[found : found + fit] = near[:fit], bits[:fit]
            found += len(near)
    return found


def least(known: Words, asked: Words, first: int, last: int, bits: npt.NDArray, counts: npt.NDArray) -> None:
    """Write the distance of each known hash to the nearest asked for, and count the distances.

    Args:
        known: uint32 (w, n).
        asked: uint32 (m, w).
        first: The first hash to compare.
        last: The end of them.
        bits: uint16 (n,), for the distances.
        counts: int64, for how many have each distance.
    """
    for start in range(first, last, _BLOCK):
        stop = min(last, start + _BLOCK)
        lowest = bits[start:stop]
        lowest[:] = 65535
        for one in asked:
            np.minimum(lowest, _bits(known, one, start, stop), out=lowest)
        counts += np.bincount(lowest, minlength=len(counts))


def nearest(
    known: Words, asked: Words, first: int, last: int, count: int, row: npt.NDArray, distance: npt.NDArray
) -> npt.NDArray[np.int64]:
    """Write the rows nearest to each hash asked for, `count` if there are so many, and return how many of each.

    Args:
        known: uint32 (w, n).
        asked: uint32 (m, w).
        first: The first hash to compare.
        last: The end of them.
        count: Rows for each.
        row: int64 (m, HELD × count), for their indices.
        distance: uint16 of that shape, for their bits.
    """
    held = np.zeros(len(asked), np.int64)
    for start in range(first, last, _BLOCK):
        stop = min(last, start + _BLOCK)
        for index, one in enumerate(asked):
            bits, some = _bits(known, one, start, stop), held[index]
            bound = distance[index, count - 1] if some == count else 65535
            near = np.flatnonzero(bits < bound)
            rows = np.concatenate([row[index, :some], near + start])
            all_bits = np.concatenate([distance[index, :some], bits[near]])
            order = np.argsort(all_bits, kind="stable")[:count]
            held[index] = len(order)
            row[index, : len(order)], distance[index, : len(order)] = rows[order], all_bits[order]
    return held
