"""Which captions are compared? Those that share a bucket, by their rarest words or by MinHash.

What belongs here: buckets, and the share of near pairs that they miss. What does not: words
(`duplicates/caption_words.py`), comparing and grouping captions (`duplicates/caption_groups.py`).

Captions are near if the Jaccard similarity s of their sets of words reaches a threshold t. The exact way: two near
captions share one of the L - tL + 1 rarest words of each, L its number of words, so each of these words is a bucket
(Chaudhuri, Ganti, Kaushik, "A primitive operator for similarity joins in data cleaning", 2006). If that takes too many
comparisons, MinHash: two signatures agree in one place with probability s (Broder, "On the resemblance and containment
of documents", 1997). Captions that agree in all r places of one of b bands share a bucket, which misses a pair with
probability (1 - s^r)^b (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from transforms.duplicates.caption_words import WordSets, map_file

PLACES = 128  # of a MinHash signature, at most
MISSED = 0.005  # share of pairs right at the threshold that the bands may miss
CROWD = 256  # captions of one bucket that others are compared with: the most frequent ones that lead a group
_SEED = 42
_COUNTERS = 1 << 22  # of the uses of words; words that share one count as more frequent than they are
_SLICE = 65_536
Watch = Callable[[Sequence[range], str], Iterable[range]]  # passes slices on, of a task with a name


@dataclass(frozen=True)
class CaptionBuckets:
    """Which captions are compared: those that share a bucket.

    Attributes:
        number: int64 of shape (k,), buckets of all captions end to end, -1 for a bucket of a single caption.
        offsets: int64 of shape (n + 1,), where the buckets of each of n captions begin in `number`.
        room: int64, the capacity of each bucket in heads.
    """

    number: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]


def banding(threshold: float) -> tuple[int, int]:
    """Return (bands, places a band): the longest bands that miss at most `MISSED` of the pairs at the threshold."""
    good = [r for r in range(1, PLACES + 1) if missed(threshold, PLACES // r, r) <= MISSED]
    rows = max(good, default=1)
    return PLACES // rows, rows


def missed(similarity: float, bands: int, rows: int) -> float:
    """Return the probability that a pair shares no bucket: (1 - s^r)^b.

    Args:
        similarity: s, the Jaccard similarity of the pair.
        bands: b.
        rows: r, places a band.
    """
    return float((1 - similarity**rows) ** bands)


def by_words(sets: WordSets, threshold: float, folder: Path) -> CaptionBuckets:
    """Create a bucket for each word that is among the rarest of at least two captions.

    Args:
        sets: The words of the captions.
        threshold: Least similarity of near captions.
        folder: Holds files that are mapped.
    """
    uses = np.zeros(_COUNTERS, np.int64)
    _count(sets.words, uses)
    lengths = np.diff(sets.offsets)
    kept = lengths - least_shared(lengths, threshold) + 1
    offsets = np.concatenate([[0], np.cumsum(kept)])
    rarest = map_file(Path(folder, "rarest.bin"), np.dtype(np.uint64), (int(offsets[-1]),))
    _choose(sets.words, sets.offsets, uses, offsets, rarest)
    number, sizes = _numbered(rarest)
    return CaptionBuckets(number, offsets, sizes)


def by_bands(sets: WordSets, threshold: float, folder: Path, watch: Watch) -> CaptionBuckets:
    """Create a bucket for each value that a band of the signatures has in at least two captions.

    Args:
        sets: The words of the captions.
        threshold: Least similarity of near captions.
        folder: Holds files that are mapped.
        watch: Yields the slices and reports progress.
    """
    bands, rows = banding(threshold)
    signed = map_file(Path(folder, "bands.bin"), np.dtype(np.uint64), (bands, len(sets)))
    for part in watch(slices(len(sets)), "signing captions"):
        offsets = sets.offsets[part.start : part.stop + 1]
        words = np.array(sets.words[offsets[0] : offsets[-1]])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            words, (offsets - offsets[0]).astype(np.uint64), bands * rows, _SEED
        )
        places = np.array(matrix.to_rows(), np.uint64).reshape(len(part), bands, rows)
        signed[:, part.start : part.stop] = _folded(places).T
    number = map_file(Path(folder, "buckets.bin"), np.dtype(np.int64), (len(sets), bands))
    room, known = [np.empty(0, np.int64)], 0
    for band in range(bands):
        buckets, sizes = _numbered(signed[band])
        number[:, band] = np.where(buckets < 0, -1, buckets + known)
        room.append(np.minimum(sizes, CROWD))
        known += len(sizes)
    return CaptionBuckets(number.reshape(-1), np.arange(len(sets) + 1) * bands, np.concatenate(room))


def least_shared(lengths: npt.NDArray[np.int64], threshold: float) -> npt.NDArray[np.int64]:
    """Return the least number of words that a near caption shares with one.

    Args:
        lengths: int64, words of captions.
        threshold: Least similarity of near captions.
    """
    return np.ceil(threshold * lengths - 1e-9).astype(np.int64)  # rounding may only ask for fewer


def slices(count: int) -> list[range]:
    """Cut the indices of captions into slices; progress is reported between them."""
    return [range(first, min(count, first + _SLICE)) for first in range(0, count, _SLICE)]


def _numbered(values: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of each value, -1 for one that occurs once, and the count of each number."""
    _, place, uses = np.unique(values, return_inverse=True, return_counts=True)
    shared = uses > 1
    return np.where(shared, np.cumsum(shared) - 1, -1)[place], uses[shared]


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
    """Write the rarest words of each caption; the lower hash is the first among equals, for all captions."""
    for p in range(len(offsets) - 1):
        own = words[offsets[p] : offsets[p + 1]]  # in order of hashes, which a stable sort keeps
        counted = np.empty(len(own), np.int64)
        for at in range(len(own)):
            counted[at] = uses[np.int64(own[at] % np.uint64(_COUNTERS))]
        order = np.argsort(counted, kind="mergesort")
        for at in range(begins[p + 1] - begins[p]):
            rarest[begins[p] + at] = own[order[at]]
