"""Comparing a few hashes with very many by a linear scan: exact, and equally fast for every picture.

What belongs here: scans of hashes held word by word. What does not: joining many with many (`joins/hamming/join.py`),
what the bits of a hash mean (`hashing/hashes.py`, `joins/cosine/sketches.py`).

A million hashes are scanned for the eight turns of a picture in some 1.5 ms on one core, because half of the bits
settle nearly every pair, and 16 pairs are counted at once. Of more hashes the guard keeps an index beside the scan
(`guard/hash_index/`), which takes 56 bytes a hash more.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.joins.hamming.workers import Workers
from transforms.packages import COMPILED

if COMPILED:
    from transforms.joins.hamming import kernels as loops
else:
    from transforms.uncompiled import scans as loops  # type: ignore[no-redef]

Words = npt.NDArray[np.uint32]
_ROOM = 4096


@dataclass(frozen=True)
class NearHashes:
    """Hashes that are near to any of those asked for.

    Attributes:
        row: int64 of shape (k,), ascending.
        distance: int64 of shape (k,), bits to the nearest.
    """

    row: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]


def words(hashes: npt.NDArray[np.uint8]) -> Words:
    """Return hashes, uint8 of shape (n, bytes), word by word: uint32 of shape (bytes / 4, n)."""
    return np.ascontiguousarray(np.ascontiguousarray(hashes).view(np.uint32).T)


def find_near(known: Words, asked: npt.NDArray[np.uint8], radius: int) -> NearHashes:
    """Return the known hashes within `radius` bits of any hash asked for.

    Args:
        known: uint32 of shape (8, n), as `words` returns them.
        asked: uint8 of shape (m, 32).
        radius: Most differing bits.
    """
    queries, room = np.ascontiguousarray(asked).view(np.uint32), _ROOM
    while True:
        row, distance = np.empty(room, np.int64), np.empty(room, np.int64)
        found = loops.within(known, queries, np.uint32(radius), row, distance)
        if found <= room:
            break
        room = found
    return nearest_of_each(row[:found], distance[:found])


def nearest_of_each(row: npt.NDArray[np.int64], distance: npt.NDArray[np.int64]) -> NearHashes:
    """Return each hash once, as near as it was found.

    Args:
        row: Hashes, int64 (k,).
        distance: Their bits, int64 (k,).
    """
    if not len(row):  # the usual case
        return NearHashes(row, distance)
    order = np.lexsort((distance, row))
    row, first = np.unique(row[order], return_index=True)
    return NearHashes(row, distance[order][first])


def least_distances(
    known: Words, asked: npt.NDArray[np.uint8], workers: Workers
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Return the distance of each known hash to the nearest of those asked for.

    Args:
        known: uint32 of shape (w, n), w a multiple of 4.
        asked: uint8 of shape (m, 4 w), m at least 1.
        workers: Threads that share the scan.

    Returns:
        Differing bits, uint16 of shape (n,), and how many hashes have each distance, int64 of shape (32 w + 1,).
    """
    queries, bits = np.ascontiguousarray(asked).view(np.uint32), np.empty(known.shape[1], np.uint16)
    counts: list[npt.NDArray[np.int64]] = []

    def part(start: int, stop: int) -> None:
        own = np.zeros(32 * known.shape[0] + 1, np.int64)
        loops.least(known, queries, start, stop, bits, own)
        counts.append(own)

    workers.share(part, known.shape[1])
    return bits, np.sum(counts, axis=0)


def nearest_rows(
    known: Words, asked: npt.NDArray[np.uint8], count: int, workers: Workers
) -> list[npt.NDArray[np.int64]]:
    """Return the rows nearest to each of some hashes, ascending.

    Args:
        known: uint32 of shape (w, n), w a multiple of 4.
        asked: uint8 of shape (m, 4 w).
        count: Rows for each, if there are so many.
        workers: Threads that share the scan.
    """
    queries = np.ascontiguousarray(asked).view(np.uint32)
    parts = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16], npt.NDArray[np.int64]]]()

    def part(start: int, stop: int) -> None:
        row = np.empty((len(queries), loops.HELD * count), np.int64)
        distance = np.empty(row.shape, np.uint16)
        parts.append((row, distance, loops.nearest(known, queries, start, stop, count, row, distance)))

    workers.share(part, known.shape[1])
    found = []
    for one in range(len(queries)):
        rows, bits = (np.concatenate([part[each][one, : part[2][one]] for part in parts]) for each in (0, 1))
        found.append(np.sort(rows[np.lexsort((rows, bits))[:count]]))
    return found
