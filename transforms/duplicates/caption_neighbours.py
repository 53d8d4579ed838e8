"""All captions near some given ones, found in one pass over the words of all.

What belongs here: the keys by which near captions are found, the pass. What does not: what follows from it for groups
(`duplicates/caption_changes.py`), grouping all captions (`duplicates/caption_groups.py`).

A caption near one of L words shares at least tL of them, t being the least Jaccard similarity. In any order of the L
words the first shared one is among the first L - tL + 1, the second among the first L - tL + 2 (see
`duplicates/rare_words.py`). Here only the given captions choose words, their rarest ones: a key is one word, or a pair
where many captions have it. Of the others every word and every pair is looked at. So what counts as rare may be a
guess: it changes the time, never the result.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.duplicates.caption_words import WordSets, jaccard_of, mixed
from transforms.duplicates.rare_words import least_shared
from transforms.joins.hamming.intrinsics import popcount

FREQUENT = 64  # captions of a sample that have a word at most for it to be a key by itself
_FILTER = 1 << 23  # bits, so that it stays in the cache
_COUNTERS = 1 << 22
_COUNTED = 16 * _COUNTERS  # words, so that a counter shared by chance tells little; rare words have up to FREQUENT uses
MOST_PAIRS = 8_000_000
"""Keys of two words, of some 100 bytes each at most."""
Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """Pairs of given captions and near ones of a batch.

    Attributes:
        probe: Which of the given captions.
        row: Which of the batch.
        similarity: Of the two.
    """

    probe: Numbers
    row: Numbers
    similarity: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Keys:
    """Keys in buckets, with the caption that has each, where each bucket begins, and a bit for each key.

    Attributes:
        signs: A bit for each word of the caption.
        spare: How many of these bits may be others in a caption near it.
    """

    keys: Hashes
    owner: Numbers
    signs: Hashes
    spare: npt.NDArray[np.int32]
    begins: npt.NDArray[np.int32]
    bits: Hashes

    @classmethod
    def of(cls, keys: Hashes, owner: Numbers, signs: Hashes, spare: npt.NDArray[np.int32]) -> "_Keys":
        buckets = 1 << (4 * len(keys)).bit_length()
        bucket = keys % np.uint64(buckets)
        order = np.argsort(bucket, kind="stable")
        begins = np.searchsorted(bucket[order], np.arange(buckets + 1, dtype=np.uint64)).astype(np.int32)
        owner = owner[order]
        return cls(keys[order], owner, signs[owner], spare[owner], begins, _bits(keys))


@dataclass
class Probes:
    """Captions whose near captions are looked for.

    Attributes:
        sets: Their words.
        threshold: Least similarity of near captions.
        words: Keys of one word.
        pairs: Keys of two.
        paired: A bit for each word of `pairs`.
        comparisons: How many captions were compared so far, and a 64th of the pairs of words that were looked up.
    """

    sets: WordSets
    threshold: float
    words: _Keys
    pairs: _Keys
    paired: Hashes
    comparisons: int = 0
    _counting: Lock = field(default_factory=Lock)

    @classmethod
    def of(
        cls, sets: WordSets, threshold: float, uses: npt.NDArray[np.uint32], frequent: int = FREQUENT
    ) -> "Probes | None":
        """Choose the keys by which near captions are found. None: there are too many of them.

        Args:
            sets: The words of the given captions.
            threshold: Least similarity of near captions.
            uses: How many captions have a word, as `count_words` counts, of any sample of captions.
            frequent: The most of these that have a word which is a key by itself.
        """
        lengths = np.diff(sets.offsets)
        of = np.repeat(np.arange(len(sets)), lengths)
        counted = uses[(sets.words % np.uint64(len(uses))).astype(np.int64)]
        words = sets.words[np.lexsort((counted, of))]  # the rarest of each caption first
        least = least_shared(lengths, threshold)
        room = _pair_count(words, sets.offsets, least, uses, frequent)
        if room > MOST_PAIRS:
            return None
        singles, single_of, pairs, pair_of, parts = _chosen(words, sets.offsets, least, uses, frequent, room)
        told = _signs(sets.words, sets.offsets), (lengths * (1 - threshold) / threshold + 1e-9).astype(np.int32)
        keys = _Keys.of(singles, single_of, *told), _Keys.of(pairs, pair_of, *told)
        return cls(sets, threshold, *keys, _bits(parts))

    def near(self, sets: WordSets) -> Neighbours:
        """Return all pairs of a given caption and a near one of a batch. A caption of the same words is near.

        Threads may ask at once.

        Args:
            sets: The words of the batch.
        """
        probe, row, similarity, made = _near(
            self.sets.words, self.sets.offsets,
            self.words.keys, self.words.owner, self.words.signs, self.words.spare, self.words.begins, self.words.bits,
            self.pairs.keys, self.pairs.owner, self.pairs.signs, self.pairs.spare, self.pairs.begins, self.pairs.bits,
            self.paired, sets.words, sets.offsets, self.threshold,
        )  # fmt: skip
        with self._counting:
            self.comparisons += made
        return Neighbours(probe, row, similarity)


def count_words(batches: Iterable[WordSets]) -> npt.NDArray[np.uint32]:
    """Return counters of how many captions have a word, of as many captions as tell something; words may share one."""
    uses, counted = np.zeros(_COUNTERS, np.uint32), 0
    for sets in batches:
        if counted > _COUNTED:
            break
        counted += len(sets.words)
        _count(sets.words, uses)
    return uses


def _bits(values: Hashes) -> Hashes:
    bits, places = np.zeros(_FILTER // 64, np.uint64), values % np.uint64(_FILTER)
    np.bitwise_or.at(bits, (places >> np.uint64(6)).astype(np.int64), np.uint64(1) << (places & np.uint64(63)))
    return bits


@nb.njit(cache=True, nogil=True)
def _count(words, uses):  # noqa: ANN001, ANN202
    for word in words:
        uses[np.int64(word % np.uint64(len(uses)))] += np.uint32(1)


@nb.njit(inline="always")
def _has(bits, value):  # noqa: ANN001, ANN202
    place = value % np.uint64(_FILTER)
    return (bits[np.int64(place >> np.uint64(6))] >> (place & np.uint64(63))) & np.uint64(1)


@nb.njit(inline="always")
def _pair(a, b):  # noqa: ANN001, ANN202
    """Return the key of two words in any order."""
    return mixed(min(a, b) * np.uint64(0x9E3779B97F4A7C15) + max(a, b))


@nb.njit(cache=True, nogil=True)
def _pair_count(words, offsets, least, uses, frequent):  # noqa: ANN001, ANN202
    """Return how many keys of two words there are."""
    count = 0
    for p in range(len(offsets) - 1):
        length = offsets[p + 1] - offsets[p]
        spare = length - least[p]
        for first in range(min(spare + 1, length)):
            word = words[offsets[p] + first]
            if least[p] >= 2 and uses[np.int64(word % np.uint64(len(uses)))] > frequent:
                count += max(0, min(spare + 2, length) - first - 1)
    return count


@nb.njit(cache=True, nogil=True)
def _chosen(words, offsets, least, uses, frequent, room):  # noqa: ANN001, ANN202 -- it is compiled
    """Return the keys of one word and of two, the captions that have them, and the words of the latter.

    Captions that need not share two words have keys of one word alone.
    """
    singles, single_of = np.empty(len(words), np.uint64), np.empty(len(words), np.int64)
    pairs, pair_of = np.empty(room, np.uint64), np.empty(room, np.int64)
    parts = np.empty(2 * room, np.uint64)
    n, m = 0, 0
    for p in range(len(offsets) - 1):
        own = words[offsets[p] : offsets[p + 1]]
        spare = len(own) - least[p]
        for first in range(min(spare + 1, len(own))):
            if least[p] < 2 or uses[np.int64(own[first] % np.uint64(len(uses)))] <= frequent:
                singles[n], single_of[n] = own[first], p
                n += 1
                continue
            for second in range(first + 1, min(spare + 2, len(own))):
                pairs[m], pair_of[m] = _pair(own[first], own[second]), p
                parts[2 * m], parts[2 * m + 1] = own[first], own[second]
                m += 1
    return singles[:n].copy(), single_of[:n].copy(), pairs, pair_of, parts


@nb.njit(inline="always")
def _signed(words, start, end):  # noqa: ANN001, ANN202
    sign = np.uint64(0)
    for at in range(start, end):
        sign |= np.uint64(1) << (words[at] >> np.uint64(58))
    return sign


@nb.njit(cache=True, nogil=True)
def _signs(words, offsets):  # noqa: ANN001, ANN202
    """Return a bit for each word of each caption."""
    signs = np.empty(len(offsets) - 1, np.uint64)
    for row in range(len(signs)):
        signs[row] = _signed(words, offsets[row], offsets[row + 1])
    return signs


@nb.njit(cache=True, nogil=True)
def _near(  # noqa: ANN202, PLR0913 -- it is compiled
    own, own_offsets,  # noqa: ANN001
    singles, single_of, single_signs, single_spare, single_begins, single_bits,  # noqa: ANN001
    pairs, pair_of, pair_signs, pair_spare, pair_begins, pair_bits,  # noqa: ANN001
    paired, words, offsets, threshold,  # noqa: ANN001
):  # fmt: skip
    """Compare each caption of the batch with those that it shares a key with, by a bit for each word first."""
    probes = len(own_offsets) - 1
    met = np.full(probes, -1, np.int64)
    longest = 0
    for r in range(len(offsets) - 1):
        longest = max(longest, offsets[r + 1] - offsets[r])
    likely = np.empty(longest, np.uint64)
    candidates = np.empty(probes, np.int64)
    found, made, tried = 0, 0, 0
    probe, row, similarity = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.float64)
    for r in range(len(offsets) - 1):
        start, end = offsets[r], offsets[r + 1]
        many, n, sign = 0, 0, _signed(words, start, end)
        for at in range(start, end):
            word = words[at]
            if _has(single_bits, word):
                single = singles, single_of, single_signs, single_spare, single_begins
                n, more = _meet(single, word, sign, met, r, candidates, n)
                made += more
            if _has(paired, word):
                likely[many] = word
                many += 1
        tried += many * (many - 1) // 2
        for one in range(many):
            for other in range(one + 1, many):
                pair = _pair(likely[one], likely[other])
                if _has(pair_bits, pair):
                    double = pairs, pair_of, pair_signs, pair_spare, pair_begins
                    n, more = _meet(double, pair, sign, met, r, candidates, n)
                    made += more
        for p in candidates[:n]:
            s = jaccard_of(own, own_offsets[p], own_offsets[p + 1], words, start, end, threshold)
            if s < threshold:
                continue
            if found == len(probe):
                probe = np.concatenate((probe, np.empty(found, np.int64)))
                row = np.concatenate((row, np.empty(found, np.int64)))
                similarity = np.concatenate((similarity, np.empty(found, np.float64)))
            probe[found], row[found], similarity[found] = p, r, s
            found += 1
    return probe[:found].copy(), row[:found].copy(), similarity[:found].copy(), made + tried // 64


@nb.njit(inline="always")
def _meet(table, key, sign, met, row, candidates, n):  # noqa: ANN001, ANN202
    """Add the captions that have a key to the candidates of a row, each once, unless bits of their words say no.

    Returns how many candidates there are, and how many captions were compared for the first time.
    """
    keys, owner, signs, spare, begins = table
    bucket, compared = np.int64(key & np.uint64(len(begins) - 2)), 0
    for place in range(begins[bucket], begins[bucket + 1]):
        if keys[place] != key:
            continue
        p = owner[place]
        if met[p] == row:
            continue
        met[p] = row
        compared += 1
        if np.int64(popcount(signs[place] ^ sign)) <= spare[place]:
            candidates[n] = p
            n += 1
    return n, compared
