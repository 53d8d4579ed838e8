"""Looking hashes up by their halves, by NumPy: see `guard/hash_index/kernels.py`.

What belongs here: the loops of the index. What does not: why they miss nothing (`guard/hash_index/blocks.py`).
"""

import numpy as np
import numpy.typing as npt

type Numbers = npt.NDArray[np.int64]
BLOCKS, BITS = 8, 16
VISITS = BLOCKS * 2 * (BITS + 1)
_WITHIN, _BOTH = 3, 7  # bits of a block, and of it and the next
_MASKS = np.array([*(1 << np.arange(BITS)), 0], np.int64)
_DIFFER = (_MASKS != 0).astype(np.int64)


def seen(asked: npt.NDArray[np.uint32], upper_starts: npt.NDArray, lower_starts: npt.NDArray) -> int:
    """Return how many hashes have a half within a bit of a half asked for, counted for each half.

    Args:
        asked: Hashes, uint32 (m, 8).
        upper_starts: As of `BlockArrays`.
        lower_starts: Likewise.
    """
    halves = zip(_halves(asked), (upper_starts, lower_starts), strict=True)
    return sum(int((last - first).sum()) for first, last in (_ranges(half, starts, 0) for half, starts in halves))


def look_up(
    words: npt.NDArray[np.uint32],
    upper_starts: npt.NDArray[np.uint32],
    lower_starts: npt.NDArray[np.uint32],
    lowers: npt.NDArray[np.uint16],
    uppers: npt.NDArray[np.uint16],
    rows: npt.NDArray[np.uint8],
    asked: npt.NDArray[np.uint32],
    radius: int,
    row: Numbers,
    distance: Numbers,
) -> int:
    """Write the near hashes, as many as fit, some of them more than once, and return the count of all.

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
    count = words.shape[1]
    upper, lower = _halves(asked)
    place, visit = _sifted(_ranges(upper, upper_starts, count), lowers, lower)
    pair = visit // len(_MASKS)
    bits = np.bitwise_count(lowers.reshape(-1)[place].astype(np.int64) ^ lower.reshape(-1)[pair])
    by_upper = place, pair, _DIFFER[visit % len(_MASKS)] + bits
    place, visit = _sifted(_ranges(lower, lower_starts, count), uppers, upper)
    by_lower = _turned(place, visit, upper_starts, lowers.reshape(-1), uppers.reshape(-1), upper, lower, count)
    place, pair, bits = (np.concatenate(each) for each in zip(by_upper, by_lower, strict=True))
    one, block = pair // BLOCKS, pair % BLOCKS
    number = np.zeros(len(place), np.int64)
    for byte in range(rows.shape[2]):
        number |= rows.reshape(-1, rows.shape[2])[place, byte].astype(np.int64) << (8 * byte)
    for step in range(1, BLOCKS):
        word = (block + step) % BLOCKS
        bits = bits + np.bitwise_count(words[word, number] ^ asked[one, word])
        if step == 1:
            near = bits <= _BOTH
            one, block, number, bits = one[near], block[near], number[near], bits[near]
    number, bits = number[bits <= radius], bits[bits <= radius]
    fit = min(len(number), len(row))
    row[:fit], distance[:fit] = number[:fit], bits[:fit]
    return len(number)


def _halves(asked: npt.NDArray[np.uint32]) -> tuple[Numbers, Numbers]:
    """Return the upper and the lower halves of hashes, (m, 8) each."""
    return (asked >> BITS).astype(np.int64), (asked & 0xFFFF).astype(np.int64)


def _ranges(half: Numbers, starts: npt.NDArray, count: int) -> tuple[Numbers, Numbers]:
    """Return where the values within a bit of halves begin and end, (m × 8 × 17,), in blocks of `count` hashes."""
    values, block = half[:, :, None] ^ _MASKS, np.arange(BLOCKS)[None, :, None]
    first, last = (starts[block, values + end].astype(np.int64) + block * count for end in (0, 1))
    return first.reshape(-1), last.reshape(-1)


def _all_of(first: Numbers, last: Numbers) -> tuple[Numbers, Numbers]:
    """Return every place of some ranges, and the range of each."""
    lengths = last - first
    place = np.arange(lengths.sum()) + np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
    return place, np.repeat(np.arange(len(first)), lengths)


def _sifted(ranges: tuple[Numbers, Numbers], halves: npt.NDArray[np.uint16], half: Numbers) -> tuple[Numbers, Numbers]:
    """Return the places whose other half is near too, and the visited value of each."""
    place, visit = _all_of(*ranges)
    asked = np.repeat(half.reshape(-1).astype(np.uint16), len(_MASKS))
    most = np.tile(_WITHIN - _DIFFER, half.size).astype(np.uint8)
    near = np.bitwise_count(halves.reshape(-1)[place] ^ asked[visit]) <= most[visit]
    return place[near], visit[near]


def _turned(
    place: Numbers,
    visit: Numbers,
    upper_starts: npt.NDArray[np.uint32],
    lowers: npt.NDArray[np.uint16],
    uppers: npt.NDArray[np.uint16],
    upper: Numbers,
    lower: Numbers,
    count: int,
) -> tuple[Numbers, Numbers, Numbers]:
    """Return the places, in the order by the upper half, of blocks that were found by their lower one."""
    other = uppers[place].astype(np.int64)
    found = np.unique(visit << BITS | other)  # all rows of a block are found with its first
    visit, other = found >> BITS, found & 0xFFFF
    pair, bit = visit // len(_MASKS), visit % len(_MASKS)
    block = pair % BLOCKS
    value = lower.reshape(-1)[pair] ^ _MASKS[bit]
    first, last = (upper_starts[block, other + end].astype(np.int64) + block * count for end in (0, 1))
    place, owner = _all_of(*(_bound(lowers, first, last, value + end) for end in (0, 1)))
    bits = _DIFFER[bit] + np.bitwise_count(other ^ upper.reshape(-1)[pair])
    return place, pair[owner], bits[owner]


def _bound(ascending: npt.NDArray[np.uint16], first: Numbers, last: Numbers, value: Numbers) -> Numbers:
    """Return the first place of each range, or its end, that holds a value or a greater one."""
    first, last = first.copy(), last.copy()
    while (open_ := first < last).any():
        middle = (first + last) // 2
        less = ascending[np.minimum(middle, len(ascending) - 1)] < value
        first = np.where(open_ & less, middle + 1, first)
        last = np.where(open_ & ~less, middle, last)
    return first


def fits(
    word: npt.NDArray[np.uint32],
    upper_starts: npt.NDArray[np.uint32],
    lower_starts: npt.NDArray[np.uint32],
    lower: npt.NDArray[np.uint16],
    upper: npt.NDArray[np.uint16],
    rows: npt.NDArray[np.uint8],
) -> bool:
    """Return whether the arrays of one block are those of its words: each row once, in order, and both orders alike.

    Args:
        word: The block of all hashes, uint32 (n,).
        upper_starts: As of `BlockArrays` of one block.
        lower_starts: Likewise, as the rest.
        lower: Likewise.
        upper: Likewise.
        rows: Likewise.
    """
    number = np.zeros(len(word), np.uint32)
    for byte in range(rows.shape[1]):
        number |= rows[:, byte].astype(np.uint32) << np.uint32(8 * byte)
    values = np.arange(1 << BITS, dtype=np.uint32)
    whole = np.repeat(values, _lengths(upper_starts)) << np.uint32(BITS) | lower
    if (number >= len(word)).any() or (np.bincount(number, minlength=len(word)) != 1).any():
        return False
    if (word[number] != whole).any() or (whole[1:] < whole[:-1]).any():
        return False
    ends = np.repeat(values, _lengths(lower_starts))
    turned = ends << np.uint32(BITS) | upper
    if (turned[1:] < turned[:-1]).any():
        return False
    return bool(np.array_equal(np.sort(upper.astype(np.uint32) << np.uint32(BITS) | ends), whole))


def _lengths(starts: npt.NDArray[np.uint32]) -> Numbers:
    return starts[1:].astype(np.int64) - starts[:-1].astype(np.int64)
