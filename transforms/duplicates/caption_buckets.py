"""Which captions are compared? Those that share a bucket, by their rarest words or by MinHash.

What belongs here: buckets, and the share of near pairs that they miss. What does not: words
(`duplicates/caption_words.py`), choosing rare words (`duplicates/rare_words.py`), comparing and grouping captions
(`duplicates/caption_groups.py`).

Captions are near if the Jaccard similarity s of their sets of words reaches a threshold t. The exact way: a bucket for
each key that `duplicates/rare_words.py` makes. If that takes too many comparisons, MinHash: two signatures agree in one
place with probability s (Broder, "On the resemblance and containment of documents", 1997). Captions that agree in all r
places of one of b bands share a bucket, which misses a pair with probability (1 - s^r)^b (Leskovec, Rajaraman, Ullman,
"Mining of Massive Datasets", 3.4).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from transforms.duplicates.caption_words import WordSets, map_file
from transforms.duplicates.rare_words import FREQUENT, RareWords

PLACES = 128  # of a MinHash signature, at most
MISSED = 0.005  # share of pairs right at the threshold that the bands may miss
CROWD = 256  # captions of one bucket that others are compared with: the most frequent ones that lead a group
_SEED = 42
_MOST_BUCKETS = 1 << 27
_SLICE = 65_536
Watch = Callable[[Sequence[range], str], Iterable[range]]  # passes slices on, of a task with a name
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaptionBuckets:
    """Which captions are compared: those that share a bucket.

    Attributes:
        begins: uint32 or int64 of shape (b + 1,), where the list of each of b buckets begins; a single caption has
            none.
        of: Returns the buckets of a slice of captions end to end, and where those of each caption begin among them.
        comparisons: How many there are at most.
    """

    begins: npt.NDArray[np.integer]
    of: Callable[[range], tuple[Numbers, Numbers]]
    comparisons: float


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


def by_words(sets: WordSets, threshold: float, folder: Path, watch: Watch, frequent: int = FREQUENT) -> CaptionBuckets:
    """Create a bucket for each key of rare words that at least two captions have.

    Keys are hashed to buckets, so captions without a common key may share one; they are compared in vain.

    Args:
        sets: The words of the captions.
        threshold: Least similarity of near captions.
        folder: Holds a file that is mapped.
        watch: Yields the slices and reports progress.
        frequent: Captions that a key has at most before it gets another word.
    """
    parts = slices(len(sets))
    rare = RareWords.of(sets, threshold, folder, parts, frequent)
    mask = np.uint64(min(_MOST_BUCKETS, 1 << max(0, rare.total - 1).bit_length()) - 1)

    def of(part: range) -> tuple[Numbers, Numbers]:
        found, ends = rare.keys(part)
        return (found & mask).view(np.int64), ends

    uses = np.zeros(int(mask) + 1, np.uint32)
    for part in watch(parts, "counting words of captions"):
        _tally(of(part)[0], uses)
    return CaptionBuckets(_begins(uses), of, _pairs(uses))


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
        number[:, band] = buckets + known
        room.append(np.minimum(sizes, CROWD))
        known += len(sizes)
    uses = np.concatenate(room)

    def of(part: range) -> tuple[Numbers, Numbers]:
        return np.array(number[part.start : part.stop]).reshape(-1), np.arange(len(part) + 1) * bands

    return CaptionBuckets(_begins(uses), of, _pairs(uses))


def slices(count: int) -> list[range]:
    """Cut the indices of captions into slices; progress is reported between them."""
    return [range(first, min(count, first + _SLICE)) for first in range(0, count, _SLICE)]


def _begins(uses: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Return where the list of each bucket begins, from how many captions are in each, as narrow numbers as will do."""
    listed = int(np.sum(uses, where=uses > 1, dtype=np.int64))
    begins: npt.NDArray[np.integer] = np.zeros(
        len(uses) + 1, np.uint32 if listed <= np.iinfo(np.uint32).max else np.int64
    )
    np.cumsum(np.where(uses > 1, uses, 0), out=begins[1:])
    return begins


def _pairs(uses: npt.NDArray[np.integer]) -> float:
    """Return how many pairs of captions share a bucket, counted for each bucket that they share."""
    pairs = 0.0
    for start in range(0, len(uses), _SLICE):  # of so many buckets a whole array of floats would be large
        many = uses[start : start + _SLICE].astype(np.float64)
        pairs += float(many @ (many - 1)) / 2
    return pairs


def _numbered(values: npt.NDArray[np.uint64]) -> tuple[Numbers, Numbers]:
    """Return the number of each value, and how often it occurs."""
    _, place, uses = np.unique(values, return_inverse=True, return_counts=True)
    return place, uses


def _folded(places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash the last axis."""
    folded = np.zeros(places.shape[:-1], np.uint64)
    for at in range(places.shape[-1]):
        folded = (folded ^ places[..., at]) * np.uint64(0x9E3779B97F4A7C15)
        folded ^= folded >> np.uint64(29)
    return folded


@nb.njit(cache=True, nogil=True)
def _tally(buckets, uses):  # noqa: ANN001, ANN202
    for bucket in buckets:
        uses[bucket] += 1
