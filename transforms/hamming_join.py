"""Exact Hamming joins over perceptual hashes.

What belongs here: finding every pair of 256-bit hashes within a radius. What does not: computing hashes
(`hashes.py`), deciding that a pair shows the same picture (`clusters.py`), reading or writing tables.

Why it is exact. Split a hash into 16 bands of 16 bits. If two hashes differ in at most 31 bits, some band
differs in at most ⌊31/16⌋ = 1 bit (pigeonhole), so looking up each band and its 16 one-bit neighbours misses
nothing (Norouzi, Punjani, Fleet: "Fast Exact Search in Hamming Space with Multi-Index Hashing", 2014).
A pair is reported in the first band that brings it together, hence once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

BANDS, BAND_BITS = 16, 16
MAX_RADIUS = 2 * BANDS - 1
_BUCKETS = 1 << BAND_BITS
_BLOCK = 256  # buckets joined by one task


@dataclass(frozen=True)
class Pairs:
    """Pairs of positions in the joined array, `left < right`.

    left, right: int64 of shape (p,). distance: uint8 of shape (p,), differing bits.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    distance: npt.NDArray[np.uint8]


def self_join(hashes: npt.NDArray[np.uint8], radius: int) -> Iterator[Pairs]:
    """Yield every pair of distinct hashes within `radius` bits, one batch a band.

    hashes: uint8 of shape (n, 32), one row a hash, without repeats (collapse equal hashes first: a picture
    held a million times is one row here). Memory: 96 bytes a hash, plus the pairs of one band.

    Raises ValueError for another shape, or a radius the bands cannot guarantee.
    """
    if hashes.ndim != 2 or hashes.shape[1] != 32 or hashes.dtype != np.uint8:
        raise ValueError(f"hashes must be uint8 of shape (n, 32), not {hashes.dtype} of {hashes.shape}")
    if not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f"radius must be between 0 and {MAX_RADIUS} for {BANDS} bands, not {radius}")
    rows = np.ascontiguousarray(hashes)
    bands = rows.view(np.uint16)
    for band in range(BANDS):
        order = np.argsort(bands[:, band], kind="stable")
        starts = np.searchsorted(bands[order, band], np.arange(_BUCKETS + 1))
        # Sorted copies keep a bucket's words together: the scan below is then one read after another.
        yield _join_band(rows.view(np.uint64)[order], bands[order], order, starts, band, radius)


def _join_band(words, bands, order, starts, band, radius) -> Pairs:  # noqa: ANN001
    capacity = np.full(_BUCKETS // _BLOCK, 1024)
    while True:
        offsets = np.concatenate(([0], np.cumsum(capacity)))
        left = np.empty(offsets[-1], np.int64)
        right, distance = np.empty_like(left), np.empty(offsets[-1], np.uint8)
        found = _scan(words, bands, starts, band, np.uint64(radius), offsets, left, right, distance)
        if np.all(found <= capacity):
            break
        capacity = np.maximum(capacity, found)  # the counts are exact: the second pass always fits
    kept = np.concatenate([np.arange(o, o + f) for o, f in zip(offsets[:-1], found, strict=True)])
    a, b = order[left[kept]], order[right[kept]]
    return Pairs(np.minimum(a, b), np.maximum(a, b), distance[kept])


@nb.njit(inline="always")
def _popcount(x):  # noqa: ANN001, ANN202
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@nb.njit(inline="always")
def _met_before(a, b, band):  # noqa: ANN001, ANN202
    for earlier in range(band):
        difference = a[earlier] ^ b[earlier]
        if difference & (difference - 1) == 0:
            return True
    return False


@nb.njit(parallel=True, cache=True, nogil=True)
def _scan(words, bands, starts, band, radius, offsets, left, right, distance):  # noqa: ANN001, ANN202
    found = np.zeros(_BUCKETS // _BLOCK, np.int64)
    for task in nb.prange(_BUCKETS // _BLOCK):
        room, base, n = offsets[task + 1] - offsets[task], offsets[task], 0
        for bucket in range(task * _BLOCK, (task + 1) * _BLOCK):
            for probe in range(BAND_BITS + 1):
                other = bucket if probe == BAND_BITS else bucket ^ (1 << probe)
                if other < bucket:  # that bucket looks here instead
                    continue
                for i in range(starts[bucket], starts[bucket + 1]):
                    for j in range(i + 1 if other == bucket else starts[other], starts[other + 1]):
                        d = _popcount(words[i, 0] ^ words[j, 0]) + _popcount(words[i, 1] ^ words[j, 1])
                        if d > radius:  # half the bits settle most pairs
                            continue
                        d += _popcount(words[i, 2] ^ words[j, 2]) + _popcount(words[i, 3] ^ words[j, 3])
                        if d > radius or _met_before(bands[i], bands[j], band):
                            continue
                        if n < room:
                            left[base + n], right[base + n], distance[base + n] = i, j, d
                        n += 1
        found[task] = n
    return found


def cross_join(queries: npt.NDArray[np.uint8], hashes: npt.NDArray[np.uint8], radius: int) -> Pairs:
    """Return every (query, hash) within `radius` bits, by brute force: left counts queries, right counts hashes.

    queries, hashes: uint8 of shape (n, 32) and (m, 32). Meant for few queries: n × m comparisons on all cores.
    """
    left = np.ascontiguousarray(queries).view(np.uint64)
    right = np.ascontiguousarray(hashes).view(np.uint64)
    found = _count_within(left, right, np.uint64(radius))
    ends = np.cumsum(found)
    total = int(ends[-1]) if len(ends) else 0
    pairs = Pairs(np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.uint8))
    _list_within(left, right, np.uint64(radius), ends - found, pairs.left, pairs.right, pairs.distance)
    return pairs


@nb.njit(inline="always")
def _distance(a, b):  # noqa: ANN001, ANN202
    return _popcount(a[0] ^ b[0]) + _popcount(a[1] ^ b[1]) + _popcount(a[2] ^ b[2]) + _popcount(a[3] ^ b[3])


@nb.njit(parallel=True, cache=True, nogil=True)
def _count_within(left, right, radius):  # noqa: ANN001, ANN202
    found = np.zeros(len(left), np.int64)
    for i in nb.prange(len(left)):
        for j in range(len(right)):
            found[i] += _distance(left[i], right[j]) <= radius
    return found


@nb.njit(parallel=True, cache=True, nogil=True)
def _list_within(left, right, radius, starts, out_left, out_right, out_distance):  # noqa: ANN001, ANN202
    for i in nb.prange(len(left)):
        n = starts[i]
        for j in range(len(right)):
            distance = _distance(left[i], right[j])
            if distance <= radius:
                out_left[n], out_right[n], out_distance[n] = i, j, distance
                n += 1
