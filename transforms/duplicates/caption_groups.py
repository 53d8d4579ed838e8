"""Which captions are nearly equal? Groups that do not drift, and the share of near captions that they miss.

What belongs here: comparing captions, groups, their recall. What does not: which captions are compared
(`duplicates/caption_buckets.py`), their words (`duplicates/caption_words.py`), counting rows
(`sql/duplicates/captions.sql`).

Two captions are nearly equal if the Jaccard similarity of their sets of words reaches a threshold.
"""

from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.duplicates.caption_buckets import CaptionBuckets, Watch, by_bands, by_words, slices
from transforms.duplicates.caption_words import WordSets, jaccard, map_file
from transforms.duplicates.rare_words import FREQUENT, least_shared
from transforms.intervals import wilson
from transforms.joins.hamming.intrinsics import popcount

_SEED = 42


@dataclass(frozen=True)
class CaptionGroups:
    """The groups of n captions.

    Attributes:
        head: int64 of shape (n,), the caption that names the group of each: itself if it leads a group or is alone.
        similarity: float64 of shape (n,), to the head.
        crowded: Count of buckets of which not all heads were compared.
        exact: Whether every near pair was found.
    """

    head: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]
    crowded: int
    exact: bool

    @property
    def tied(self) -> npt.NDArray[np.int64]:
        """The captions under another one."""
        parts = (np.arange(part.start, part.stop) for part in slices(len(self.head)))
        return np.concatenate([np.empty(0, np.int64), *(part[self.head[part] != part] for part in parts)])

    @property
    def members(self) -> npt.NDArray[np.int64]:
        """The captions of all groups: the tied ones and their heads."""
        return np.union1d(self.tied, self.head[self.tied])


@dataclass(frozen=True)
class CaptionRecall:
    """The share of sampled captions near an earlier head that were tied to one.

    Attributes:
        near: Sampled captions that are near an earlier head.
        share: The share of them that was tied. None if no sampled caption is near a head.
        low: Lower end of Wilson's interval at 95%.
        high: Upper end.
    """

    near: int
    share: float | None
    low: float | None
    high: float | None


def group(
    sets: WordSets,
    threshold: float,
    folder: Path,
    comparisons: int,
    watch: Watch = lambda slices, _: slices,
    frequent: int = FREQUENT,
) -> CaptionGroups:
    """Group captions: each is tied to the first earlier head that it nearly equals, or is a head itself.

    Groups exactly if `comparisons` suffice, else by MinHash. Then only the first `CROWD` heads of a bucket are
    compared, so that time is linear in the captions. Memory: 12 bytes for each bucket of a caption, 1.6 GB at most; all
    else is in files in `folder`, some 100 bytes a caption, which leave memory when it is short.

    Args:
        sets: The words of the captions, the most frequent caption first.
        threshold: Least Jaccard similarity of near captions.
        folder: Holds signatures and buckets.
        comparisons: Most comparisons of the exact way. Below 0, MinHash is used.
        watch: Yields the slices and reports progress.
        frequent: Captions that a key of the exact way has at most before it gets another word.
    """
    if comparisons >= 0:
        groups = _led(sets, threshold, folder, by_words(sets, threshold, folder, watch, frequent), comparisons, watch)
        if groups is not None:
            return groups
    groups = _led(sets, threshold, folder, by_bands(sets, threshold, folder, watch), None, watch)
    assert groups is not None  # noqa: S101 -- for the type checker: without a limit there are groups
    return groups


def _led(
    sets: WordSets, threshold: float, folder: Path, buckets: CaptionBuckets, comparisons: int | None, watch: Watch
) -> CaptionGroups | None:
    """Group captions by their buckets. None as soon as the captions so far took more than their share of comparisons.

    Later captions meet more heads than earlier ones, so all of them would take more than `comparisons`.
    """
    number_of = np.dtype(np.int32 if len(sets) < np.iinfo(np.int32).max else np.int64)
    listed = map_file(Path(folder, "listed.bin"), number_of, (int(buckets.begins[-1]),))
    signs = map_file(Path(folder, "signs.bin"), np.dtype(np.uint64), listed.shape)
    filled = np.zeros(len(buckets.begins) - 1, np.int32)
    head = map_file(Path(folder, "heads.bin"), np.dtype(np.int64), (len(sets),))
    similarity = map_file(Path(folder, "similarities.bin"), np.dtype(np.float64), (len(sets),))
    for part in slices(len(sets)):
        head[part.start : part.stop], similarity[part.start : part.stop] = np.arange(part.start, part.stop), 1
    made = 0
    for part in watch(slices(len(sets)), "comparing captions"):
        number, offsets = buckets.of(part)
        made += _lead(
            sets.words, sets.offsets, number, offsets, buckets.begins, filled, listed, signs, head, similarity,
            threshold, part.start, part.stop,
        )  # fmt: skip
        if comparisons is not None and buckets.comparisons > comparisons and made > comparisons * part.stop / len(sets):
            return None
    crowded = int(_crowded(filled, buckets.begins))
    return CaptionGroups(head, similarity, crowded, exact=comparisons is not None)


def recall(sets: WordSets, groups: CaptionGroups, threshold: float, sample: int) -> CaptionRecall:
    """Compare sampled captions with all heads, and count those near an earlier head that are tied.

    Args:
        sets: The words of the captions.
        groups: Their groups. If these are exact, the share is 1.
        threshold: Least Jaccard similarity of near captions.
        sample: Count of sampled captions.
    """
    if groups.exact:
        return CaptionRecall(len(groups.tied), 1.0, 1.0, 1.0)
    count = len(sets)
    sampled = np.sort(np.random.default_rng(_SEED).choice(count, min(sample, count), replace=False))
    words, owner = _telling(sets, sampled, threshold)
    distinct, begins = np.unique(words, return_index=True)
    ends = np.append(begins[1:], len(words))
    near = _near_a_head(sets.words, sets.offsets, groups.head, sampled, distinct, begins, ends, owner, threshold)
    tied = int((groups.head[sampled] != sampled)[near].sum())
    total = int(near.sum())
    if not total:
        return CaptionRecall(0, None, None, None)
    return CaptionRecall(total, tied / total, *wilson(tied / total, total))


def _telling(
    sets: WordSets, sampled: npt.NDArray[np.int64], threshold: float
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return sorted words, at least one of which a caption near a sampled one has, and the sampled caption of each.

    A near caption shares at least tL of L words, hence one of any L - tL + 1. The rarest are taken.
    """
    words = np.concatenate([sets.words[sets.offsets[p] : sets.offsets[p + 1]] for p in sampled])
    lengths = np.diff(sets.offsets)[sampled]
    owner = np.repeat(np.arange(len(sampled)), lengths)
    _, place, uses = np.unique(words, return_inverse=True, return_counts=True)
    order = np.lexsort((uses[place], owner))
    rank = np.arange(len(words)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    telling = order[rank <= (lengths - least_shared(lengths, threshold))[owner]]
    telling = telling[np.argsort(words[telling], kind="stable")]
    return words[telling], owner[telling]


@nb.njit(cache=True, nogil=True)
def _lead(  # noqa: ANN202
    words, offsets, buckets, places, begins, filled, listed, signs, head, similarity,  # noqa: ANN001
    threshold, first, last,  # noqa: ANN001
):  # fmt: skip
    """Tie each caption to the first earlier head that it nearly equals, else list it as a head in its buckets.

    Reads: words and offsets (WordSets), the buckets of the captions from first to last and where those of each begin.
    Bucket b lists its heads from listed[begins[b]] on, filled[b] of them; one more than it has room for says that
    others had no room. Beside each head, `signs` holds a bit for each of its words: near captions differ in few words,
    so what differs in many bits is not near, and its words are not read. Writes head and similarity of the captions.
    Returns the number of comparisons, including those that the signs alone decided.
    """
    made = 0
    for p in range(first, last):
        best, score, sign = -1, 0.0, np.uint64(0)
        for word in words[offsets[p] : offsets[p + 1]]:
            sign |= np.uint64(1) << (word >> np.uint64(58))
        most = np.int64((offsets[p + 1] - offsets[p]) * (1 - threshold) / threshold + 1e-9)  # words of one of the two
        own = buckets[places[p - first] : places[p - first + 1]]
        for bucket in own:
            begin = begins[bucket]
            for at in range(begin, min(begin + filled[bucket], begins[bucket + 1])):  # in order of importance
                h = np.int64(listed[at])
                if best >= 0 and h >= best:
                    break
                made += 1
                if popcount(signs[at] ^ sign) > most:
                    continue
                s = jaccard(words, offsets[p], offsets[p + 1], offsets[h], offsets[h + 1], threshold)
                if s >= threshold:
                    best, score = h, s
                    break
        if best >= 0:
            head[p], similarity[p] = best, score
            continue
        for bucket in own:
            at, end = begins[bucket] + filled[bucket], begins[bucket + 1]
            if at < end:
                listed[at], signs[at] = p, sign
            if at <= end and begins[bucket] < end:
                filled[bucket] += 1
    return made


@nb.njit(cache=True, nogil=True)
def _crowded(filled, begins):  # noqa: ANN001, ANN202
    """Return how many lists are longer than their room. As arrays, these would be large."""
    count = 0
    for bucket in range(len(filled)):
        count += np.int64(filled[bucket]) > np.int64(begins[bucket + 1]) - np.int64(begins[bucket])
    return count


@nb.njit(cache=True, nogil=True)
def _near_a_head(words, offsets, head, sampled, distinct, begins, ends, owner, threshold):  # noqa: ANN001, ANN202
    """Return for each sampled caption whether an earlier head that shares one of its rarest words is near."""
    near = np.zeros(len(sampled), np.bool_)
    for h in range(len(head)):
        if head[h] != h:
            continue
        for at in range(offsets[h], offsets[h + 1]):
            place = np.searchsorted(distinct, words[at])
            if place == len(distinct) or distinct[place] != words[at]:
                continue
            for at_sample in owner[begins[place] : ends[place]]:
                p = sampled[at_sample]
                if not near[at_sample] and h < p:
                    s = jaccard(words, offsets[p], offsets[p + 1], offsets[h], offsets[h + 1], threshold)
                    near[at_sample] = s >= threshold
    return near
