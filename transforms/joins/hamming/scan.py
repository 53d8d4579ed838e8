"""Comparing a few hashes with very many by a linear scan: exact, and equally fast for every picture.

What belongs here: scans of hashes held word by word. What does not: joining many with many (`joins/hamming/join.py`),
what the bits of a hash mean (`hashing/hashes.py`, `joins/cosine/sketches.py`).

A million hashes are scanned for the eight turns of a picture in some 1.5 ms on one core, because half of the bits
settle nearly every pair, and 16 pairs are counted at once. Of more hashes the guard keeps an index beside the scan
(`guard/hash_index/`), which takes 56 bytes a hash more.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.joins.hamming.intrinsics import popcount
from transforms.joins.hamming.workers import Workers

Words = npt.NDArray[np.uint32]
_BLOCK = 1024  # hashes that stay in the cache while they are compared with all that are asked for
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
        found = _within(known, queries, np.uint32(radius), row, distance)
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
        _least(known, queries, start, stop, bits, own)
        counts.append(own)

    workers.share(part, known.shape[1])
    return bits, np.sum(counts, axis=0)


@nb.njit(nogil=True, cache=True)
def _within(known, asked, radius, row, distance):  # noqa: ANN001, ANN202
    """Write the near hashes, as many as fit, and return the count of all."""
    total, found = known.shape[1], 0
    for start in range(0, total, _BLOCK):
        stop = min(total, start + _BLOCK)
        p, q, r, s = known[0, start:stop], known[1, start:stop], known[2, start:stop], known[3, start:stop]
        for one in range(len(asked)):
            a, b, c, d = asked[one, 0], asked[one, 1], asked[one, 2], asked[one, 3]
            near = np.uint32(0)  # counted, not branched on: so that the loop is of vector instructions
            for j in range(stop - start):
                half = popcount(p[j] ^ a) + popcount(q[j] ^ b) + popcount(r[j] ^ c) + popcount(s[j] ^ d)
                near += np.uint32(half <= radius)
            if near == 0:
                continue
            for j in range(start, stop):
                bits = np.uint32(0)
                for word in range(8):
                    bits += popcount(known[word, j] ^ asked[one, word])
                if bits <= radius:
                    if found < len(row):
                        row[found], distance[found] = j, bits
                    found += 1
    return found


@nb.njit(nogil=True, cache=True)
def _least(known, asked, first, last, bits, counts):  # noqa: ANN001, ANN202
    summed, lowest = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32)
    for start in range(first, last, _BLOCK):
        stop = min(last, start + _BLOCK)
        lowest[:] = 65535
        for one in range(len(asked)):
            summed[:] = 0
            for w in range(0, known.shape[0], 4):
                a, b, c, d = asked[one, w], asked[one, w + 1], asked[one, w + 2], asked[one, w + 3]
                p, q = known[w, start:stop], known[w + 1, start:stop]
                r, s = known[w + 2, start:stop], known[w + 3, start:stop]
                for j in range(stop - start):
                    summed[j] += popcount(p[j] ^ a) + popcount(q[j] ^ b) + popcount(r[j] ^ c) + popcount(s[j] ^ d)
            for j in range(stop - start):
                lowest[j] = min(lowest[j], summed[j])
        for j in range(stop - start):
            bits[start + j] = lowest[j]
            counts[lowest[j]] += 1
