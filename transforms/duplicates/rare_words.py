"""The rarest words of captions, as keys that two near captions have in common.

What belongs here: counting words, keys. What does not: words (`duplicates/caption_words.py`), buckets
(`duplicates/caption_buckets.py`).

Two captions are near if the Jaccard similarity of their sets of words reaches a threshold t. Of L words each shares at
least tL, so of the shared ones the rarest is among its L - tL + 1 rarest words (Chaudhuri, Ganti, Kaushik, "A primitive
operator for similarity joins in data cleaning", 2006), and the k-th rarest among its L - tL + k (Wang, Li, Feng, "Can
we beat the prefix filtering?", 2012). A key is one of these words; with the next shared one if many captions have the
word, and with a third if many have both. What is frequent is counted over all captions, so both of a pair decide alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.duplicates.caption_words import WordSets, map_file, mixed

FREQUENT = 64  # captions that a key has at most before it gets another word
_WORDS = 3  # of a key
_KEYS = 64  # of a caption on average; above this, keys have fewer words
_NEVER = np.iinfo(np.uint32).max
_COUNTERS, _PAIR_COUNTERS = 1 << 22, 1 << 25  # what shares a counter counts as more frequent than it is
_SHORT = np.uint64(0x5851F42D4C957F2D)  # tells the keys of short captions from others
_NOTHING = np.empty(0, np.uint64)


@dataclass(frozen=True)
class RareWords:
    """The words of n captions that keys are made of, and what is frequent.

    Attributes:
        sets: All words of the captions.
        threshold: Least similarity of near captions.
        words: uint64, the rarest words of each caption end to end, the rarest first.
        offsets: int64 of shape (n + 1,), where those of each caption begin.
        uses: uint32, counters of the captions that have a word.
        pair_uses: uint32, counters of those that have a key of two words.
        most: The most captions that may share a word, and a pair of words, for it to be a key by itself.
        total: Keys of all captions.
    """

    sets: WordSets
    threshold: float
    words: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]
    uses: npt.NDArray[np.uint32]
    pair_uses: npt.NDArray[np.uint32]
    most: tuple[int, int]
    total: int = 0

    @classmethod
    def of(
        cls, sets: WordSets, threshold: float, folder: Path, parts: Sequence[range], frequent: int = FREQUENT
    ) -> "RareWords":
        """Choose the rarest words of captions.

        Args:
            sets: The words of the captions.
            threshold: Least similarity of near captions.
            folder: Holds files that are mapped.
            parts: All captions in slices.
            frequent: Captions that a key has at most before it gets another word.
        """
        uses = np.zeros(_COUNTERS, np.uint32)
        _count(sets.words, uses)
        offsets = map_file(Path(folder, "rarest_begins.bin"), np.dtype(np.int64), (len(sets) + 1,))
        offsets[0] = 0
        for part in parts:
            lengths = np.diff(sets.offsets[part.start : part.stop + 1])
            kept = np.minimum(lengths, lengths - least_shared(lengths, threshold) + _WORDS)
            offsets[part.start + 1 : part.stop + 1] = offsets[part.start] + np.cumsum(kept)
        words = map_file(Path(folder, "rarest.bin"), np.dtype(np.uint64), (int(offsets[-1]),))
        _choose(sets.words, sets.offsets, uses, offsets, words)
        room = min(_PAIR_COUNTERS, 1 << (8 * len(sets)).bit_length())
        pair_uses = np.zeros(room, np.uint32)
        _count_pairs(words, offsets, sets.offsets, threshold, uses, frequent, pair_uses)
        for most in ((frequent, frequent), (frequent, _NEVER), (_NEVER, _NEVER)):
            rare = cls(sets, threshold, words, offsets, uses, pair_uses, most)
            rare = replace(rare, total=sum(map(rare.count, parts)))
            if rare.total <= _KEYS * len(sets):
                break
        return rare

    def count(self, part: range) -> int:
        """Return how many keys captions have."""
        return self._write(part, _NOTHING, np.empty(0, np.int64))

    def keys(self, part: range) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return the keys of captions end to end, and where those of each begin; one element more than captions."""
        keys, offsets = np.empty(self.count(part), np.uint64), np.zeros(len(part) + 1, np.int64)
        self._write(part, keys, offsets)
        return keys, offsets

    def _write(self, part: range, keys: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> int:
        of_word, of_pair = self.most
        return _keys(
            self.words, self.offsets, self.sets.offsets, self.threshold, self.uses, self.pair_uses, of_word, of_pair,
            part.start, part.stop, keys, offsets,
        )  # fmt: skip


def least_shared(lengths: npt.NDArray[np.int64], threshold: float) -> npt.NDArray[np.int64]:
    """Return the least number of words that a near caption shares with one.

    Args:
        lengths: int64, words of captions.
        threshold: Least similarity of near captions.
    """
    return np.ceil(threshold * lengths - 1e-9).astype(np.int64)  # rounding may only ask for fewer


@nb.njit(inline="always")
def _pair(word, next_word):  # noqa: ANN001, ANN202
    """Return the key of two words, the rarer one first; of a key and a third word likewise."""
    return mixed(word * np.uint64(0x9E3779B97F4A7C15) + next_word)


@nb.njit(inline="always")
def _spare(length, threshold):  # noqa: ANN001, ANN202
    """Return how many of its words a caption need not share with a near one, as `least_shared` has it."""
    return length - np.int64(np.ceil(threshold * length - 1e-9))


@nb.njit(cache=True, nogil=True)
def _count(words, uses):  # noqa: ANN001, ANN202
    for word in words:
        uses[np.int64(word % np.uint64(len(uses)))] += 1


@nb.njit(cache=True, nogil=True)
def _choose(words, offsets, uses, begins, rarest):  # noqa: ANN001, ANN202
    """Write the rarest words of each caption; the lower hash is the first among equals, for all captions."""
    for p in range(len(offsets) - 1):
        own = words[offsets[p] : offsets[p + 1]]  # in order of hashes, which a stable sort keeps
        counted = np.empty(len(own), np.int64)
        for at in range(len(own)):
            counted[at] = uses[np.int64(own[at] % np.uint64(len(uses)))]
        order = np.argsort(counted, kind="mergesort")
        for at in range(begins[p + 1] - begins[p]):
            rarest[begins[p] + at] = own[order[at]]


@nb.njit(cache=True, nogil=True)
def _count_pairs(words, begins, offsets, threshold, uses, most, pair_uses):  # noqa: ANN001, ANN202
    """Count the pairs of words of each caption whose first one is frequent."""
    for p in range(len(begins) - 1):
        own = words[begins[p] : begins[p + 1]]
        spare = _spare(offsets[p + 1] - offsets[p], threshold)
        for first in range(min(spare + 1, len(own))):
            if uses[np.int64(own[first] % np.uint64(len(uses)))] <= most:
                continue
            for second in range(first + 1, min(spare + 2, len(own))):
                pair_uses[np.int64(_pair(own[first], own[second]) % np.uint64(len(pair_uses)))] += 1


@nb.njit(cache=True, nogil=True)
def _keys(  # noqa: ANN202, C901, PLR0913 -- it is compiled, and a key of each length is a loop
    words, begins, offsets, threshold, uses, pair_uses, most, pair_most,  # noqa: ANN001
    first_caption, last_caption, keys, ends,  # noqa: ANN001
):  # fmt: skip
    """Write the keys of captions, and where those of each end; return how many. Without room they are only counted.

    Two short captions may be near and share fewer words than a key has. So a short caption has a key for each of its
    rarest words too, apart from the keys by which it meets longer captions.
    """
    n = 0
    for p in range(first_caption, last_caption):
        own = words[begins[p] : begins[p + 1]]
        length = offsets[p + 1] - offsets[p]
        spare = _spare(length, threshold)
        for first in range(min(spare + 1, len(own))):
            word = own[first]
            if length - spare < _WORDS:
                if len(keys):
                    keys[n] = mixed(word ^ _SHORT)
                n += 1
            if uses[np.int64(word % np.uint64(len(uses)))] <= most:
                if len(keys):
                    keys[n] = mixed(word)
                n += 1
                continue
            for second in range(first + 1, min(spare + 2, len(own))):
                pair = _pair(word, own[second])
                if pair_uses[np.int64(pair % np.uint64(len(pair_uses)))] <= pair_most:
                    if len(keys):
                        keys[n] = pair
                    n += 1
                    continue
                for third in range(second + 1, min(spare + 3, len(own))):
                    if len(keys):
                        keys[n] = _pair(pair, own[third])
                    n += 1
        if len(ends):
            ends[p - first_caption + 1] = n
    return n
