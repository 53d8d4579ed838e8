"""The loops of the index by blocks.

What belongs here: Numba kernels. What does not: why they miss nothing (`guard/hash_index/blocks.py`).
"""

import numba as nb
import numpy as np

from transforms.joins.hamming.intrinsics import HALVES, lowest, near_halves, popcount, prefetch

BLOCKS, BITS = 8, 16
VISITS = BLOCKS * 2 * (BITS + 1)  # values of halves that are looked at for a hash
_WITHIN, _BOTH = 3, 7  # bits of a block, and of it and the next
_HELD, _ROOM = 256, 1024  # halves looked at at once, and candidates of a block that wait for their words
_LINE = 32  # halves that are fetched at once


@nb.njit(nogil=True, cache=True)
def seen(asked, upper_starts, lower_starts):  # noqa: ANN001, ANN201
    """Return how many hashes have a half within a bit of a half asked for, counted for each half.

    Args:
        asked: Hashes, uint32 (m, 8).
        upper_starts: As of `BlockArrays`.
        lower_starts: Likewise.
    """
    total = 0
    for one in range(len(asked)):
        for block in range(BLOCKS):
            word = asked[one, block]
            upper, lower = np.int64(word >> 16), np.int64(word & 0xFFFF)
            for bit in range(BITS + 1):
                mask = (1 << bit) & 0xFFFF  # the last is 0
                total += np.int64(upper_starts[block, (upper ^ mask) + 1]) - np.int64(upper_starts[block, upper ^ mask])
                total += np.int64(lower_starts[block, (lower ^ mask) + 1]) - np.int64(lower_starts[block, lower ^ mask])
    return total


@nb.njit(nogil=True, cache=True)
def look_up(words, upper_starts, lower_starts, lowers, uppers, rows, asked, radius, row, distance):  # noqa: ANN001, ANN201
    """Write the near hashes, as many as fit, some of them more than once, and return the count of all.

    Memory is what takes time, so whatever is read next is asked for ahead: the values of the next hash while one is
    looked at, and the rows and the words of its candidates before the first is compared.

    Args:
        words: The known hashes, uint32 (8, n).
        upper_starts: As of `BlockArrays`.
        lower_starts: Likewise, as the next three.
        lowers: `lower`.
        uppers: `upper`.
        rows: `rows`.
        asked: Hashes, uint32 (m, 8).
        radius: Most differing bits.
        row: int64, for the indices of near hashes.
        distance: int64, for their bits.
    """
    store = words.reshape(-1), rows.reshape(-1), words.shape[1], rows.shape[2]
    halves = lowers.reshape(-1), uppers.reshape(-1)
    ranges, found = np.empty((2, VISITS, 2), np.int64), 0
    held, near, turned = np.empty(_HELD, np.int64), np.empty((_ROOM, 3), np.int64), np.empty((_ROOM, 4), np.int64)
    _ask_ahead(asked[0], upper_starts, lower_starts, halves, ranges[0])
    for one in range(len(asked)):
        query, own = asked[one], ranges[one % 2]
        if one + 1 < len(asked):
            _ask_ahead(asked[one + 1], upper_starts, lower_starts, halves, ranges[(one + 1) % 2])
        count = turns = 0
        for block in range(BLOCKS):
            upper, lower = np.int64(query[block] >> 16), np.int64(query[block] & 0xFFFF)
            for bit in range(BITS + 1):
                mask = (1 << bit) & 0xFFFF  # the last is 0
                differ, visit = np.int64(mask != 0), 2 * ((BITS + 1) * block + bit)
                most = np.uint16(_WITHIN - differ)
                first, last = own[visit, 0], own[visit, 1]
                while first < last:
                    first, some = _sift(halves[0], first, last, np.uint16(lower), most, held)
                    if count + some > _ROOM:
                        found, count = _verified(store, near, count, query, radius, row, distance, found), 0
                    for k in range(some):
                        near[count, 0] = held[k]
                        near[count, 1] = differ + popcount(np.int64(halves[0][held[k]]) ^ lower)
                        prefetch(store[1], held[k] * store[3])
                        count += 1
                first, last, before = own[visit + 1, 0], own[visit + 1, 1], np.int64(-1)
                while first < last:
                    first, some = _sift(halves[1], first, last, np.uint16(upper), most, held)
                    if turns + some > _ROOM:
                        found, count = _verified(store, near, count, query, radius, row, distance, found), 0
                        found, count = _turned(
                            store, halves[0], turned, turns, near, 0, query, radius, row, distance, found
                        )
                        turns = 0
                    for k in range(some):
                        other = np.int64(halves[1][held[k]])
                        if other == before:  # all its rows are found with the first
                            continue
                        before = other
                        start = np.int64(upper_starts[block, other]) + block * store[2]
                        stop = np.int64(upper_starts[block, other + 1]) + block * store[2]
                        turned[turns, 0], turned[turns, 1], turned[turns, 2] = start, stop, lower ^ mask
                        turned[turns, 3] = differ + popcount(other ^ upper)
                        prefetch(halves[0], start + ((stop - start) * (lower ^ mask) >> 16))  # they ascend
                        turns += 1
        found, count = _turned(store, halves[0], turned, turns, near, count, query, radius, row, distance, found)
        found = _verified(store, near, count, query, radius, row, distance, found)
    return found


@nb.njit(nogil=True, cache=True)
def _ask_ahead(query, upper_starts, lower_starts, halves, ranges):  # noqa: ANN001, ANN202
    """Note where the values of a hash's halves lie, and have them fetched."""
    count = len(halves[0]) // BLOCKS
    for block in range(BLOCKS):
        upper, lower = np.int64(query[block] >> 16), np.int64(query[block] & 0xFFFF)
        for bit in range(BITS + 1):
            mask, visit = (1 << bit) & 0xFFFF, 2 * ((BITS + 1) * block + bit)
            ranges[visit, 0] = block * count + np.int64(upper_starts[block, upper ^ mask])
            ranges[visit, 1] = block * count + np.int64(upper_starts[block, (upper ^ mask) + 1])
            for place in range(ranges[visit, 0], ranges[visit, 1], _LINE):
                prefetch(halves[0], place)
            ranges[visit + 1, 0] = block * count + np.int64(lower_starts[block, lower ^ mask])
            ranges[visit + 1, 1] = block * count + np.int64(lower_starts[block, (lower ^ mask) + 1])
            for place in range(ranges[visit + 1, 0], ranges[visit + 1, 1], _LINE):
                prefetch(halves[1], place)


@nb.njit(nogil=True, cache=True)
def _sift(halves, first, last, asked, most, held):  # noqa: ANN001, ANN202
    """Hold the places of halves within `most` bits. Return where to go on, and how many are held."""
    count, stop = 0, min(last, first + len(held))
    while first < stop:
        beyond = first + HALVES - len(halves)
        if beyond > 0:  # the last of all: the window begins before them
            near = near_halves(halves, first - beyond, asked, most) >> beyond
        else:
            near = near_halves(halves, first, asked, most)
        if stop - first < HALVES:
            near &= (1 << (stop - first)) - 1
        while near:
            held[count] = first + lowest(near)
            near &= near - 1
            count += 1
        first += HALVES
    return stop, count


@nb.njit(nogil=True, cache=True)
def _turned(store, lowers, turned, turns, near, count, query, radius, row, distance, found):  # noqa: ANN001, ANN202
    """Find the places of blocks whose upper half was found by their lower one, and add them to the candidates."""
    for k in range(turns):
        start, stop, value = turned[k, 0], turned[k, 1], np.uint16(turned[k, 2])
        place = start + np.searchsorted(lowers[start:stop], value)
        while place < stop and lowers[place] == value:
            if count == len(near):
                found, count = _verified(store, near, count, query, radius, row, distance, found), 0
            near[count, 0], near[count, 1] = place, turned[k, 3]
            prefetch(store[1], place * store[3])
            count += 1
            place += 1
    return found, count


@nb.njit(nogil=True, cache=True)
def _verified(store, near, count, query, radius, row, distance, found):  # noqa: ANN001, ANN202
    """Compare candidates as a whole: of the next block first, with which most have too many bits."""
    words, rows, n, width = store
    for k in range(count):
        number = np.int64(0)
        for byte in range(width):
            number |= np.int64(rows[near[k, 0] * width + byte]) << (8 * byte)
        near[k, 2] = number
        prefetch(words, (near[k, 0] // n + 1) % BLOCKS * n + number)
    for k in range(count):
        block, number, bits = near[k, 0] // n, near[k, 2], near[k, 1]
        after = (block + 1) % BLOCKS
        bits += popcount(np.int64(words[after * n + number] ^ query[after]))
        if bits > _BOTH:
            continue
        for step in range(2, BLOCKS):
            word = (block + step) % BLOCKS
            bits += popcount(np.int64(words[word * n + number] ^ query[word]))
        if bits > radius:
            continue
        if found < len(row):
            row[found], distance[found] = number, bits
        found += 1
    return found


@nb.njit(nogil=True, cache=True)
def fits(word, upper_starts, lower_starts, lower, upper, rows):  # noqa: ANN001, ANN201
    """Return whether the arrays of one block are those of its words: each row once, in order, and both orders alike.

    Args:
        word: The block of all hashes, uint32 (n,).
        upper_starts: As of `BlockArrays` of one block.
        lower_starts: Likewise, as the rest.
        lower: Likewise.
        upper: Likewise.
        rows: Likewise.
    """
    count = len(word)
    once = np.zeros(count, np.bool_)
    first, second = np.uint64(0), np.uint64(0)
    for value in range(1 << BITS):
        before = np.int64(-1)
        for place in range(upper_starts[value], upper_starts[value + 1]):
            number = np.int64(0)
            for byte in range(rows.shape[1]):
                number |= np.int64(rows[place, byte]) << (8 * byte)
            half = np.int64(lower[place])
            if number >= count or once[number] or half < before:
                return False
            once[number] = True
            whole = np.uint32(value << BITS | half)
            if word[number] != whole:
                return False
            before = half
            first += _mixed(whole)
        before = np.int64(-1)
        for place in range(lower_starts[value], lower_starts[value + 1]):
            half = np.int64(upper[place])
            if half < before:
                return False
            before = half
            second += _mixed(np.uint32(half << BITS | value))
    return first == second


@nb.njit(nogil=True, cache=True)
def _mixed(word):  # noqa: ANN001, ANN202
    """Return a number whose sums tell sets of words apart: a step of SplitMix64 (Steele, Lea, Flood, 2014)."""
    mixed = np.uint64(word) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
