"""All captions near some given ones, found in one pass over the words of all.

What belongs here: the words by which near captions are found, the pass. What does not: what follows from it for groups
(`duplicates/caption_changes.py`), grouping all captions (`duplicates/caption_groups.py`).

A caption near one of L words shares at least tL of them, t being the least Jaccard similarity, and so has one of any
L - tL + 1 (see `duplicates/rare_words.py`). Here only the given captions choose such words, their rarest ones; of the
others every word is looked at. So what counts as rare may be a guess: it changes the time, never the result.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.duplicates.caption_words import WordSets, jaccard_of
from transforms.duplicates.rare_words import least_shared
from transforms.joins.hamming.intrinsics import popcount

_FILTER = 1 << 23  # bits, so that it stays in the cache
_COUNTERS = 1 << 22


@dataclass(frozen=True)
class Neighbours:
    """Pairs of given captions and near ones of a batch.

    Attributes:
        probe: Which of the given captions.
        row: Which of the batch.
        similarity: Of the two.
    """

    probe: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]


@dataclass
class Probes:
    """Captions whose near captions are looked for.

    Attributes:
        sets: Their words.
        threshold: Least similarity of near captions.
        words: uint64, sorted: those by which near captions are found, each once for each caption that chose it.
        owner: The caption that chose each.
        seen: A bit for each of `words`, by its lowest bits.
        comparisons: How many pairs were compared so far.
    """

    sets: WordSets
    threshold: float
    words: npt.NDArray[np.uint64]
    owner: npt.NDArray[np.int64]
    seen: npt.NDArray[np.uint64]
    comparisons: int = 0

    @classmethod
    def of(cls, sets: WordSets, threshold: float, uses: npt.NDArray[np.uint32]) -> "Probes":
        """Choose the words by which near captions are found.

        Args:
            sets: The words of the given captions.
            threshold: Least similarity of near captions.
            uses: How many captions have a word, as `count_words` counts, of any sample of captions.
        """
        lengths = np.diff(sets.offsets)
        of = np.repeat(np.arange(len(sets)), lengths)
        counted = uses[(sets.words % np.uint64(len(uses))).astype(np.int64)]
        order = np.lexsort((counted, of))
        rank = np.arange(len(of)) - np.repeat(sets.offsets[:-1], lengths)
        chosen = order[rank <= (lengths - least_shared(lengths, threshold))[of]]
        chosen = chosen[np.argsort(sets.words[chosen], kind="stable")]
        words = sets.words[chosen]
        seen = np.zeros(_FILTER // 64, np.uint64)
        bits = words % np.uint64(_FILTER)
        np.bitwise_or.at(seen, (bits >> np.uint64(6)).astype(np.int64), np.uint64(1) << (bits & np.uint64(63)))
        return cls(sets, threshold, words, of[chosen], seen)

    def near(self, sets: WordSets) -> Neighbours:
        """Return all pairs of a given caption and a near one of a batch. A caption of the same words is near.

        Args:
            sets: The words of the batch.
        """
        if not len(self.words) or not len(sets.words):
            nothing = np.empty(0, np.int64)
            return Neighbours(nothing, nothing, np.empty(0))
        probe, row, similarity, made = _near(
            self.sets.words, self.sets.offsets, self.words, self.owner, self.seen, sets.words, sets.offsets,
            self.threshold,
        )  # fmt: skip
        self.comparisons += made
        return Neighbours(probe, row, similarity)


def count_words(batches: list[WordSets]) -> npt.NDArray[np.uint32]:
    """Return counters of how many captions have a word; words may share one."""
    uses = np.zeros(_COUNTERS, np.uint32)
    for sets in batches:
        np.add.at(uses, (sets.words % np.uint64(_COUNTERS)).astype(np.int64), 1)
    return uses


@nb.njit(cache=True, nogil=True)
def _signed(words, start, end):  # noqa: ANN001, ANN202
    sign = np.uint64(0)
    for at in range(start, end):
        sign |= np.uint64(1) << (words[at] >> np.uint64(58))
    return sign


@nb.njit(cache=True, nogil=True)
def _near(own, own_offsets, keys, owner, seen, words, offsets, threshold):  # noqa: ANN001, ANN202
    """Compare each caption of the batch with those that chose one of its words, by a bit for each word first."""
    probes = len(own_offsets) - 1
    signs = np.empty(probes, np.uint64)
    for p in range(probes):
        signs[p] = _signed(own, own_offsets[p], own_offsets[p + 1])
    met = np.full(probes, -1, np.int64)
    found, made = 0, 0
    probe, row, similarity = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.float64)
    for r in range(len(offsets) - 1):
        start, end = offsets[r], offsets[r + 1]
        sign, signed = np.uint64(0), False
        for at in range(start, end):
            word = words[at]
            bit = word % np.uint64(_FILTER)
            if not (seen[np.int64(bit >> np.uint64(6))] >> (bit & np.uint64(63))) & np.uint64(1):
                continue
            place = np.searchsorted(keys, word)
            if place == len(keys) or keys[place] != word:
                continue
            if not signed:
                sign, signed = _signed(words, start, end), True
            while place < len(keys) and keys[place] == word:
                p = owner[place]
                place += 1
                if met[p] == r:
                    continue
                met[p] = r
                made += 1
                length = own_offsets[p + 1] - own_offsets[p]
                most = np.int64(length * (1 - threshold) / threshold + 1e-9)
                if popcount(signs[p] ^ sign) > most:
                    continue
                s = jaccard_of(own, own_offsets[p], own_offsets[p + 1], words, start, end, threshold)
                if s < threshold:
                    continue
                if found == len(probe):
                    probe = np.concatenate((probe, np.empty(found, np.int64)))
                    row = np.concatenate((row, np.empty(found, np.int64)))
                    similarity = np.concatenate((similarity, np.empty(found, np.float64)))
                probe[found], row[found], similarity[found] = p, r, s
                found += 1
    return probe[:found].copy(), row[:found].copy(), similarity[:found].copy(), made
