"""The loops of the exact Hamming join and of scans, compiled by Numba: sorting hashes by a band, and comparing them.

What belongs here: loops over hashes. What does not: which bands (`joins/hamming/plan.py`), threads and batches
(`joins/hamming/join.py`).

A hash is 8 words of 32 bits. Sorted by a band, hashes are held word by word (all first words, all second words, ...),
so that one hash is compared with 16 neighbours at a time: XOR, population count and sum of 16 lanes, which LLVM turns
into the vector instructions of the machine. Every kernel releases the GIL and starts no threads.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.joins.hamming import intrinsics as lanes
from transforms.joins.hamming.intrinsics import LANES, WORDS, popcount

TILE = 4096  # hashes that are compared with all their partners before the next ones are: they stay in the cache
_AHEAD = 8  # rows that are asked for before they are read
_STRIDE = 97  # bits that stand side by side in a band stand this far apart in a hash
_ALL = (1 << LANES) - 1
HELD = 4  # times the rows that are asked for that are held before the farther ones are let go
_SCANNED = 1024  # hashes that stay in the cache while they are compared with all that are asked for
_SUMMED = 256  # likewise, of longer hashes and two asked for at a time


class SortedHashes(NamedTuple):
    """Hashes sorted by a band.

    Attributes:
        words: uint32 of shape (8 × stride,): word w of row i is words[i + w × stride].
        stride: Step from word to word.
        starts: The first row of each value of the band, and the end.
    """

    words: npt.NDArray[np.uint32]
    stride: int
    starts: npt.NDArray[np.integer]


class RowRuns(NamedTuple):
    """Runs of rows with equal values, none longer than a tile.

    Attributes:
        value: The value of each run.
        start: The first row of each run, and the end.
        first: The first run of each tile, and the end.
    """

    value: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]


class BandRule(NamedTuple):
    """What is compared, and what counts.

    Attributes:
        masks: int64, differences of the band within which rows are compared.
        earlier: uint32 of shape (bands, 8), the bits of the bands before.
        reach: Differing bits that each of these tolerates.
        radius: Most differing bits of a pair.
        symmetric: Whether the two sides are one.
        sieve: Up to three words that settle most pairs (`joins/hamming/sieve.py`).
        sieved: How many of them there are; 0 if they would not.
        bound: Most differing bits of these words.
    """

    masks: npt.NDArray[np.int64]
    earlier: npt.NDArray[np.uint32]
    reach: npt.NDArray[np.int64]
    radius: np.uint32
    symmetric: bool
    sieve: tuple[int, int, int]
    sieved: int
    bound: np.uint32


class PairBuffer(NamedTuple):
    """Where pairs are written: sorted rows, and differing bits."""

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    distance: npt.NDArray[np.uint8]


def bit_tables() -> npt.NDArray[np.uint32]:
    """Return what each byte of a hash adds to its words: uint32 (32, 256, 8).

    Bit p of the words is bit 97 × p modulo 256 of the hash: neighbouring bits of a PDQ hash are neighbouring
    frequencies, and a band of correlated bits would be a poor filter.
    """
    tables = np.zeros((32, 256, WORDS), np.uint32)
    values = np.arange(256)
    for place in range(256):
        byte, bit = divmod(_STRIDE * place % 256, 8)
        tables[byte, :, place // 32] |= ((values >> bit & 1) << place % 32).astype(np.uint32)
    return tables


@nb.njit(nogil=True, cache=True)
def arrange(hashes, tables, start, stop, rows):  # noqa: ANN001, ANN201
    """Write the words of hashes[start:stop] to rows[start:stop].

    Args:
        hashes: uint8 of shape (n, 32).
        tables: `bit_tables()` as uint64 of shape (32, 256, 4), two words in one.
        start: The first hash.
        stop: The hash behind the last.
        rows: uint64 of shape (n, 4), two words in one.
    """
    for i in range(start, stop):
        a = b = c = d = np.uint64(0)
        for byte in range(32):
            value = hashes[i, byte]
            a ^= tables[byte, value, 0]
            b ^= tables[byte, value, 1]
            c ^= tables[byte, value, 2]
            d ^= tables[byte, value, 3]
        rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3] = a, b, c, d


@nb.njit(nogil=True, cache=True)
def band_values(rows, first, width, start, stop, values):  # noqa: ANN001, ANN201
    """Write the value that a band has in rows[start:stop].

    Args:
        rows: uint32 of shape (n, 8).
        first: The first bit of the band.
        width: Bits of the band.
        start: The first row.
        stop: The row behind the last.
        values: uint32 of shape (n,), written.
    """
    word, shift = first // 32, np.uint64(first % 32)
    after = min(word + 1, WORDS - 1)
    mask = np.uint64((1 << width) - 1)
    for i in range(start, stop):
        both = np.uint64(rows[i, word]) | (np.uint64(rows[i, after]) << np.uint64(32))
        values[i] = np.uint32((both >> shift) & mask)


@nb.njit(nogil=True, cache=True)
def count(values, starts):  # noqa: ANN001, ANN201
    """Write where each value starts once rows are sorted.

    Args:
        values: The value of each row.
        starts: Zeros, one more than there are values; written.
    """
    for value in values:
        starts[value + 1] += 1
    for value in range(1, len(starts)):
        starts[value] += starts[value - 1]


@nb.njit(nogil=True, cache=True)
def sort(values, starts, low, high, order):  # noqa: ANN001, ANN201
    """Write rows to their places in `order`, those of equal values in order.

    Args:
        values: The value of each row.
        starts: Where each value starts.
        low: The first value that is written.
        high: The value behind the last.
        order: Written.
    """
    at = starts[low:high].copy()
    for i in range(len(values)):
        value = np.int64(values[i])
        if low <= value < high:
            order[at[value - low]] = i
            at[value - low] += 1


@nb.njit(nogil=True, cache=True)
def gather(rows, order, start, stop, words, stride):  # noqa: ANN001, ANN201
    """Write rows word by word in sorted order.

    Args:
        rows: uint64 of shape (4 × n,), two words in one.
        order: The row at each sorted index.
        start: The first sorted index.
        stop: The sorted index behind the last.
        words: Written, see `SortedHashes`.
        stride: Step from word to word.
    """
    half = np.uint64(32)
    for i in range(start, stop):
        if i + _AHEAD < stop:  # rows are read in no order, so the machine cannot guess which comes next
            lanes.prefetch(rows, 4 * np.int64(order[i + _AHEAD]))
        row = 4 * np.uint64(order[i])
        for pair in range(4):
            both = rows[row + np.uint64(pair)]
            words[2 * pair * stride + i] = np.uint32(both)
            words[(2 * pair + 1) * stride + i] = np.uint32(both >> half)


@nb.njit(nogil=True, cache=True)
def pick(rows, index, order, picked, numbers):  # noqa: ANN001, ANN201
    """Write some rows and their indices one behind the other.

    Args:
        rows: uint64 of shape (4 × n,), two words in one.
        index: The index of each row.
        order: Which rows.
        picked: uint64 of shape (4 × rows,), written.
        numbers: Written, the index of each.
    """
    for i in range(len(order)):
        if i + _AHEAD < len(order):
            lanes.prefetch(rows, 4 * np.int64(order[i + _AHEAD]))
        row = np.int64(order[i])
        for word in range(4):
            picked[4 * i + word] = rows[4 * row + word]
        numbers[i] = index[row]


@nb.njit(nogil=True, cache=True)
def cut(starts):  # noqa: ANN001, ANN201
    """Return the runs and tiles of sorted rows: value, start and first of `RowRuns`."""
    total = np.int64(starts[-1])
    most = min(len(starts) - 1, total) + total // TILE + 1
    value, start = np.empty(most, np.int64), np.empty(most + 1, np.int64)
    first = np.empty(total // TILE + 2, np.int64)
    pieces, tiles, filled = 0, 0, TILE
    for each in range(len(starts) - 1):
        row, stop = np.int64(starts[each]), np.int64(starts[each + 1])
        while row < stop:
            if filled >= TILE:
                first[tiles], filled, tiles = pieces, 0, tiles + 1
            taken = min(stop - row, TILE - filled)
            value[pieces], start[pieces] = each, row
            row, filled, pieces = row + taken, filled + taken, pieces + 1
    start[pieces], first[tiles] = total, pieces
    return value[:pieces].copy(), start[: pieces + 1].copy(), first[: tiles + 1].copy()


@nb.njit(inline="always")
def _counted(i, j, stop, diagonal):  # noqa: ANN001, ANN202
    """Return which of the 16 rows from j on count for row i: those before the end, and behind i on the diagonal."""
    before = _ALL if stop - j >= LANES else (1 << (stop - j)) - 1
    return before & ~((2 << (i - diagonal)) - 1) if i >= diagonal else before


@nb.njit(nogil=True)
def _seek(a, a_stride, i, end, b, b_stride, j, stop, diagonal, bound, words):  # noqa: ANN001, ANN202
    """Return the first row from i on that may be near one of the 16 from j on, or `end`."""
    if end <= diagonal:  # of no row any of the 16 is left out for its place: four at a time, with one branch
        counted = _counted(i, j, stop, diagonal)
        while i < end:  # the last four may reach into what follows, which is looked at and not returned
            near = lanes.sieved(a, i, a_stride, b, j, b_stride, bound, words)
            near |= lanes.sieved(a, i + 1, a_stride, b, j, b_stride, bound, words)
            near |= lanes.sieved(a, i + 2, a_stride, b, j, b_stride, bound, words)
            near |= lanes.sieved(a, i + 3, a_stride, b, j, b_stride, bound, words)
            if near & counted:
                for each in range(i, min(i + 4, end)):
                    if lanes.sieved(a, each, a_stride, b, j, b_stride, bound, words) & counted:
                        return each
            i += 4
        return end
    while i < end:
        if lanes.sieved(a, i, a_stride, b, j, b_stride, bound, words) & _counted(i, j, stop, diagonal):
            return i
        i += 1
    return end


@nb.njit(nogil=True)
def _met_before(a, i, a_stride, b, j, b_stride, rule):  # noqa: ANN001, ANN202
    """Return whether two rows match in an earlier band, which then reports them."""
    for band in range(len(rule.reach)):
        differing = 0
        for word in range(WORDS):
            bits = (a[i + word * a_stride] ^ b[j + word * b_stride]) & rule.earlier[band, word]
            differing += np.int64(lanes.popcount(np.uint32(bits)))
        if differing <= rule.reach[band]:
            return True
    return False


@nb.njit(nogil=True)
def _distance(a, i, a_stride, b, j, b_stride):  # noqa: ANN001, ANN202
    differing = 0
    for word in range(WORDS):
        differing += np.int64(lanes.popcount(np.uint32(a[i + word * a_stride] ^ b[j + word * b_stride])))
    return differing


@nb.njit(nogil=True, cache=True)
def scan(left, right, pieces, tiles, rule, cursor, room):  # noqa: ANN001, ANN201
    """Compare the rows of some tiles with their partners, and return how many pairs were written.

    Five loops: tiles, masks, runs of equal values, 16 partners at a time, rows. `cursor` lets them go on where they
    stopped for want of room.

    Args:
        left: Hashes sorted by a band.
        right: The partners, sorted by the same band.
        pieces: The runs of `left`.
        tiles: The first tile, and the one behind the last.
        rule: What is compared.
        cursor: int64 of shape (5,), read and written: tile, mask, run, row of the right, row of the left to go on from;
            -1 for a loop that starts. Its tile is tiles[1] when all is done.
        room: Where pairs are written.
    """
    a, b = left.words, right.words
    begin, mask_from, piece_from, j_from, i_from = cursor
    found = 0
    for tile in range(begin, tiles[1]):
        for mask in range(max(mask_from, 0), len(rule.masks)):
            within = rule.symmetric and mask == 0
            for piece in range(max(piece_from, pieces.first[tile]), pieces.first[tile + 1]):
                value = pieces.value[piece]
                other = value ^ rule.masks[mask]
                if rule.symmetric and other < value:  # that one looks here instead
                    continue
                i_start, i_stop = pieces.start[piece], pieces.start[piece + 1]
                j_start, j_stop = np.int64(right.starts[other]), np.int64(right.starts[other + 1])
                if within:
                    j_start = i_start + 1
                for j in range(max(j_from, j_start), j_stop, LANES):
                    # Among rows of one value only those to the right of a row count: each pair once.
                    diagonal = j if within else i_stop
                    end = min(i_stop, j + LANES - 1) if within else i_stop
                    i = max(i_from, i_start)
                    i_from = -1
                    while i < end:
                        if rule.sieved:
                            part = left.stride, i, end, b, right.stride, j, j_stop, diagonal, rule.bound
                            x, y, z = rule.sieve
                            if rule.sieved == 1:
                                i = _seek(a, *part, (x,))
                            elif rule.sieved == 2:
                                i = _seek(a, *part, (x, y))
                            else:
                                i = _seek(a, *part, (x, y, z))
                            if i == end:
                                break
                        if found + LANES > len(room.left):
                            cursor[0], cursor[1], cursor[2], cursor[3], cursor[4] = tile, mask, piece, j, i
                            return found
                        near = lanes.near(a, i, left.stride, b, j, right.stride, rule.radius)
                        near &= _counted(i, j, j_stop, diagonal)
                        while near:
                            k = j + lanes.lowest(near)
                            near &= near - 1
                            if not _met_before(a, i, left.stride, b, k, right.stride, rule):
                                room.left[found], room.right[found] = i, k
                                room.distance[found] = _distance(a, i, left.stride, b, k, right.stride)
                                found += 1
                        i += 1
                j_from = -1
            piece_from = -1
        mask_from = -1
    cursor[0] = tiles[1]
    return found


@nb.njit(nogil=True, cache=True)
def within(known, asked, radius, row, distance):  # noqa: ANN001, ANN201
    """Write the near hashes of a scan, as many as fit, and return the count of all.

    Args:
        known: uint32 (8, n).
        asked: uint32 (m, 8).
        radius: Most differing bits, uint32.
        row: int64, for the indices of near hashes.
        distance: int64, for their bits.
    """
    total, found = known.shape[1], 0
    for start in range(0, total, _SCANNED):
        stop = min(total, start + _SCANNED)
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


@nb.njit(nogil=True)
def _differing(known, start, stop, asked, one, other, summed):  # noqa: ANN001, ANN202
    """Write in how many bits known hashes differ from two of those asked for, into summed, uint32 (2, stop - start)."""
    lanes_end = start + (stop - start) // LANES * LANES
    for place in range(start, lanes_end, LANES):
        lanes.differing(known, place, asked, one, other, summed, place - start)
    for place in range(lanes_end, stop):
        for k, each in enumerate((one, other)):
            bits = np.uint32(0)
            for word in range(known.shape[0]):
                bits += popcount(known[word, place] ^ asked[each, word])
            summed[k, place - start] = bits


@nb.njit(nogil=True, cache=True)
def least(known, asked, first, last, bits, counts):  # noqa: ANN001, ANN201
    """Write the distance of each known hash to the nearest asked for, and count the distances.

    Args:
        known: uint32 (w, n), w a multiple of 4.
        asked: uint32 (m, w).
        first: The first hash to compare.
        last: The end of them.
        bits: uint16 (n,), for the distances.
        counts: int64, for how many have each distance.
    """
    summed, lowest = np.empty((2, _SUMMED), np.uint32), np.empty(_SUMMED, np.uint32)
    for start in range(first, last, _SUMMED):
        stop = min(last, start + _SUMMED)
        lowest[:] = 65535
        for one in range(0, len(asked), 2):
            _differing(known, start, stop, asked, one, min(one + 1, len(asked) - 1), summed)
            for j in range(stop - start):
                lowest[j] = min(lowest[j], min(summed[0, j], summed[1, j]))
        for j in range(stop - start):
            bits[start + j] = lowest[j]
            counts[lowest[j]] += 1


@nb.njit(nogil=True, cache=True)
def nearest(known, asked, first, last, count, row, distance):  # noqa: ANN001, ANN201
    """Write the rows nearest to each hash asked for, `count` at least, and return how many are written of each.

    Args:
        known: uint32 (w, n), w a multiple of 4.
        asked: uint32 (m, w).
        first: The first hash to compare.
        last: The end of them.
        count: Rows for each.
        row: int64 (m, HELD × count), for their indices.
        distance: uint16 of that shape, for their bits.
    """
    held, bound = np.zeros(len(asked), np.int64), np.full(len(asked), 65535, np.uint32)
    pair = np.empty((2, _SUMMED), np.uint32)
    for start in range(first, last, _SUMMED):
        stop = min(last, start + _SUMMED)
        for one in range(len(asked)):
            if one % 2 == 0:
                _differing(known, start, stop, asked, one, min(one + 1, len(asked) - 1), pair)
            summed = pair[one % 2]
            near = np.uint32(0)
            for j in range(stop - start):
                near += np.uint32(summed[j] < bound[one])
            if near == 0:
                continue
            for j in range(stop - start):
                if summed[j] < bound[one]:
                    if held[one] == row.shape[1]:
                        order = np.argsort(distance[one])[:count]
                        row[one, :count], distance[one, :count] = row[one][order], distance[one][order]
                        held[one], bound[one] = count, distance[one, count - 1]
                        if summed[j] >= bound[one]:
                            continue
                    row[one, held[one]], distance[one, held[one]] = start + j, summed[j]
                    held[one] += 1
    return held
