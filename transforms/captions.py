"""Which captions say nearly the same? Candidates, groups that do not drift, and how many the join misses.

What belongs here: near-equality of many captions. What does not: their words (`words.py`), counting rows
(`sql/duplicates/captions.sql`).

Two captions nearly equal if the Jaccard similarity s of their sets of words reaches a threshold t. Candidates share a
bucket. Exactly: near captions of L words share one of the L - tL + 1 words that are the rarest of each (Chaudhuri,
Ganti, Kaushik, "A primitive operator for similarity joins in data cleaning", 2006); each of these words is a bucket.
Where that compares too many, by MinHash: signatures agree in one place with probability s (Broder, "On the
resemblance and containment of documents", 1997), and those that agree in all r places of one of b bands share a bucket,
which misses a pair with probability (1 - s^r)^b (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
from rensa import RMinHash
from scipy.stats import binomtest

from transforms.words import WordSets, jaccard, mapped

PLACES = 128  # of a MinHash signature, at most
MISSED = 0.005  # share of pairs right at the threshold that the bands may miss
CROWD = 256  # captions of one bucket that others are compared with: the most frequent ones that lead a group
_SEED = 42
_COUNTERS = 1 << 22  # of the uses of words; words that share one count as more frequent than they are
_SLICE = 65_536
Watch = Callable[[Sequence[range], str], Iterable[range]]  # passes slices on, of a task with a name


@dataclass(frozen=True)
class Buckets:
    """Which captions are compared: those of one bucket.

    number: int64 of shape (k,), buckets, -1 for one of a single caption. offsets: int64 of shape (n + 1,), where the
    buckets of each of n captions begin. room: int64, how many heads each bucket takes.
    """

    number: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """Which caption each of n is grouped under.

    head: int64 of shape (n,), itself where it leads a group or is alone. similarity: float64 of shape (n,), to the
    head. crowded: buckets of which not all heads were compared. exact: whether no near pair was missed.
    """

    head: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]
    crowded: int
    exact: bool

    @property
    def tied(self) -> npt.NDArray[np.int64]:
        """The captions under another one."""
        return np.flatnonzero(self.head != np.arange(len(self.head)))

    @property
    def members(self) -> npt.NDArray[np.int64]:
        """The captions of all groups: those under another one, and those that these are under."""
        return np.union1d(self.tied, self.head[self.tied])


@dataclass(frozen=True)
class Recall:
    """Of `near` sampled captions that are within the threshold of an earlier head, how many were tied to one.

    low, high: Wilson's interval at 95%. All are None where no sampled caption has such a head.
    """

    near: int
    share: float | None
    low: float | None
    high: float | None


def banding(threshold: float) -> tuple[int, int]:
    """Return (bands, places a band): the longest bands that miss at most `MISSED` of the pairs at the threshold."""
    good = [r for r in range(1, PLACES + 1) if missed(threshold, PLACES // r, r) <= MISSED]
    rows = max(good, default=1)
    return PLACES // rows, rows


def missed(similarity: float, bands: int, rows: int) -> float:
    """Return the probability that a pair of this similarity shares no bucket: (1 - s^r)^b."""
    return float((1 - similarity**rows) ** bands)


def group(
    sets: WordSets, threshold: float, folder: Path, comparisons: int, watch: Watch = lambda slices, _: slices
) -> Groups:
    """Group captions: each is tied to the first earlier head that it nearly equals, or is a head itself.

    sets: the most important caption first. comparisons: how many the exact way may take; if they do not suffice, it is
    MinHash, and in a crowded bucket only the first `CROWD` heads: then time grows with captions, not with their square.
    Memory: about 150 bytes a caption; signatures and buckets lie in `folder`.
    """
    groups = _led(sets, threshold, folder, _by_words(sets, threshold, folder), comparisons, watch)
    if groups is None:
        groups = _led(sets, threshold, folder, _by_bands(sets, threshold, folder, watch), None, watch)
    assert groups is not None  # noqa: S101 -- for the type checker: without a limit there are groups
    return groups


def _led(
    sets: WordSets, threshold: float, folder: Path, buckets: Buckets, comparisons: int | None, watch: Watch
) -> Groups | None:
    """Group captions by their buckets; None where it takes more comparisons."""
    starts = np.cumsum(buckets.room) - buckets.room
    listed = mapped(Path(folder, "listed.bin"), np.dtype(np.int64), (int(buckets.room.sum()),))
    filled, crowded = np.zeros_like(buckets.room), np.zeros(len(buckets.room), np.bool_)
    seen, head, similarity = np.full(len(sets), -1), np.arange(len(sets)), np.ones(len(sets))
    left = np.iinfo(np.int64).max if comparisons is None else comparisons
    for part in watch(_slices(len(sets)), "comparing captions"):
        left = _lead(
            sets.words, sets.offsets, buckets.number, buckets.offsets, starts, buckets.room, filled, crowded, listed,
            seen, head, similarity, threshold, part.start, part.stop, left,
        )  # fmt: skip
        if left < 0:
            return None
    return Groups(head, similarity, int(crowded.sum()), exact=comparisons is not None)


def recall(sets: WordSets, groups: Groups, threshold: float, sample: int) -> Recall:
    """Compare sampled captions with all heads, and count those near an earlier one that are tied.

    sample: how many captions. Where all were compared, there is nothing to measure: the share is 1.
    """
    if groups.exact:
        return Recall(len(groups.tied), 1.0, 1.0, 1.0)
    count = len(sets)
    chosen = np.sort(np.random.default_rng(_SEED).choice(count, min(sample, count), replace=False))
    words, owner = _telling(sets, chosen, threshold)
    distinct, begins = np.unique(words, return_index=True)
    ends = np.append(begins[1:], len(words))
    near = _near_a_head(sets.words, sets.offsets, groups.head, chosen, distinct, begins, ends, owner, threshold)
    tied = int((groups.head[chosen] != chosen)[near].sum())
    total = int(near.sum())
    if not total:
        return Recall(0, None, None, None)
    between = binomtest(tied, total).proportion_ci(method="wilson")
    return Recall(total, tied / total, float(between.low), float(between.high))


def _telling(
    sets: WordSets, chosen: npt.NDArray[np.int64], threshold: float
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return words, sorted, of which a caption must hold one to be near a chosen one, and which that is.

    Who is near a caption of L words shares at least tL of them, and so one of any L - tL + 1. The rarest are taken.
    """
    words = np.concatenate([sets.words[sets.offsets[p] : sets.offsets[p + 1]] for p in chosen])
    lengths = np.diff(sets.offsets)[chosen]
    owner = np.repeat(np.arange(len(chosen)), lengths)
    _, place, uses = np.unique(words, return_inverse=True, return_counts=True)
    order = np.lexsort((uses[place], owner))
    rank = np.arange(len(words)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    telling = order[rank <= (lengths - _shared(lengths, threshold))[owner]]
    telling = telling[np.argsort(words[telling], kind="stable")]
    return words[telling], owner[telling]


def _slices(count: int) -> list[range]:
    return [range(first, min(count, first + _SLICE)) for first in range(0, count, _SLICE)]


def _by_words(sets: WordSets, threshold: float, folder: Path) -> Buckets:
    """Make a bucket of every word that is among the rarest of at least two captions."""
    uses = np.zeros(_COUNTERS, np.int64)
    _count(sets.words, uses)
    lengths = np.diff(sets.offsets)
    kept = lengths - _shared(lengths, threshold) + 1
    offsets = np.concatenate([[0], np.cumsum(kept)])
    rarest = mapped(Path(folder, "rarest.bin"), np.dtype(np.uint64), (int(offsets[-1]),))
    _choose(sets.words, sets.offsets, uses, offsets, rarest)
    number, sizes = _numbered(rarest)
    return Buckets(number, offsets, sizes)


def _by_bands(sets: WordSets, threshold: float, folder: Path, watch: Watch) -> Buckets:
    """Make a bucket of every value that a band of the signatures has in at least two captions."""
    bands, rows = banding(threshold)
    signed = mapped(Path(folder, "bands.bin"), np.dtype(np.uint64), (bands, len(sets)))
    for part in watch(_slices(len(sets)), "signing captions"):
        offsets = sets.offsets[part.start : part.stop + 1]
        words = np.array(sets.words[offsets[0] : offsets[-1]])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            words, (offsets - offsets[0]).astype(np.uint64), bands * rows, _SEED
        )
        places = np.array(matrix.to_rows(), np.uint64).reshape(len(part), bands, rows)
        signed[:, part.start : part.stop] = _folded(places).T
    number = mapped(Path(folder, "buckets.bin"), np.dtype(np.int64), (len(sets), bands))
    room, known = [np.empty(0, np.int64)], 0
    for band in range(bands):
        found, sizes = _numbered(signed[band])
        number[:, band] = np.where(found < 0, -1, found + known)
        room.append(np.minimum(sizes, CROWD))
        known += len(sizes)
    return Buckets(number.reshape(-1), np.arange(len(sets) + 1) * bands, np.concatenate(room))


def _numbered(values: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of each value, -1 for one that occurs once, and how often each number occurs."""
    _, place, uses = np.unique(values, return_inverse=True, return_counts=True)
    shared = uses > 1
    return np.where(shared, np.cumsum(shared) - 1, -1)[place], uses[shared]


def _shared(lengths: npt.NDArray[np.int64], threshold: float) -> npt.NDArray[np.int64]:
    """Return how many words at least a near caption shares with one of so many."""
    return np.ceil(threshold * lengths - 1e-9).astype(np.int64)  # rounding may only ask for fewer


def _folded(places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash the last axis."""
    folded = np.zeros(places.shape[:-1], np.uint64)
    for at in range(places.shape[-1]):
        folded = (folded ^ places[..., at]) * np.uint64(0x9E3779B97F4A7C15)
        folded ^= folded >> np.uint64(29)
    return folded


@nb.njit(cache=True, nogil=True)
def _count(words, uses):  # noqa: ANN001, ANN202
    for word in words:
        uses[np.int64(word % np.uint64(_COUNTERS))] += 1


@nb.njit(cache=True, nogil=True)
def _choose(words, offsets, uses, begins, rarest):  # noqa: ANN001, ANN202
    """Write the rarest words of each caption, the lower hash among equals: the same order for all captions."""
    for p in range(len(offsets) - 1):
        own = words[offsets[p] : offsets[p + 1]]  # in order of hashes, which a stable sort keeps
        counted = np.empty(len(own), np.int64)
        for at in range(len(own)):
            counted[at] = uses[np.int64(own[at] % np.uint64(_COUNTERS))]
        order = np.argsort(counted, kind="mergesort")
        for at in range(begins[p + 1] - begins[p]):
            rarest[begins[p] + at] = own[order[at]]


@nb.njit(cache=True, nogil=True)
def _lead(  # noqa: ANN202
    words, offsets, buckets, begins, starts, room, filled, crowded, listed,  # noqa: ANN001
    seen, head, similarity, threshold, first, last, left,  # noqa: ANN001
):  # fmt: skip
    """Tie each caption to the first earlier head that it nearly equals, else list it as a head in its buckets.

    Returns how many comparisons are left, -1 where they did not suffice.
    """
    for p in range(first, last):
        best, score = -1, 0.0
        for bucket in buckets[begins[p] : begins[p + 1]]:
            if bucket < 0:
                continue
            for at in range(starts[bucket], starts[bucket] + filled[bucket]):  # in order of importance
                h = listed[at]
                if best >= 0 and h >= best:
                    break
                if seen[h] == p:
                    continue
                seen[h] = p
                left -= 1
                s = jaccard(words, offsets[p], offsets[p + 1], offsets[h], offsets[h + 1], threshold)
                if s >= threshold:
                    best, score = h, s
                    break
        if left < 0:
            return -1
        if best >= 0:
            head[p], similarity[p] = best, score
            continue
        for bucket in buckets[begins[p] : begins[p + 1]]:
            if bucket < 0:
                continue
            if filled[bucket] < room[bucket]:
                listed[starts[bucket] + filled[bucket]] = p
                filled[bucket] += 1
            else:
                crowded[bucket] = True
    return left


@nb.njit(cache=True, nogil=True)
def _near_a_head(words, offsets, head, chosen, distinct, begins, ends, owner, threshold):  # noqa: ANN001, ANN202
    """Tell for each chosen caption whether an earlier head is near, among those that share a telling word."""
    near = np.zeros(len(chosen), np.bool_)
    for h in range(len(head)):
        if head[h] != h:
            continue
        for at in range(offsets[h], offsets[h + 1]):
            place = np.searchsorted(distinct, words[at])
            if place == len(distinct) or distinct[place] != words[at]:
                continue
            for sampled in owner[begins[place] : ends[place]]:
                p = chosen[sampled]
                if not near[sampled] and h < p:
                    s = jaccard(words, offsets[p], offsets[p + 1], offsets[h], offsets[h + 1], threshold)
                    near[sampled] = s >= threshold
    return near
