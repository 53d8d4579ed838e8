"""Which training rows show the same picture? Pairs by bytes, pixels, perceptual hash and embedding.

What belongs here: the order of the tests, and what each of them proves. What does not: the joins (`joins/`), the
clusters (`duplicates/clusters.py`, `duplicates/members.py`), counts (`sql/duplicates/`).

Equal bytes, equal pixels and hashes within the radius are duplicates. Embeddings only propose: a pair close in
embedding counts once aligned pixels confirm it, so that two photographs of one scene stay two pictures.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from transforms.alignment.comparer import PixelComparison
from transforms.alignment.policy import PixelLimits
from transforms.duplicates.components import Components
from transforms.fingerprints.picture_set import Pictures, Positions
from transforms.hashing.digest_tables import Lookup

Compare = Callable[[Sequence[tuple[int, int]]], Sequence[PixelComparison]]  # of pairs of pictures, by index
_AT_ONCE = 1 << 20  # rows whose equal ones are tied at once


@dataclass(frozen=True)
class DuplicateThresholds:
    """When two training rows show the same picture.

    Attributes:
        pdq: Differing bits of 256 up to which two hashes show one picture.
        similar: Cosine from which pixels are compared.
        overlap: Least share of both pictures that they must have in common.
        pixels: When pixels agree.
    """

    pdq: int
    similar: float
    overlap: float
    pixels: PixelLimits


@dataclass(frozen=True)
class NearPairs:
    """Pairs of different fingerprints within a threshold, as a join found them.

    Attributes:
        a: uint8 of shape (p, 32), hashes or SHA-256 of pixels.
        b: Likewise, the other ends.
        measure: float64 of shape (p,), differing bits or cosine.
    """

    a: npt.NDArray[np.uint8]
    b: npt.NDArray[np.uint8]
    measure: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ties:
    """Pairs of pictures, by index, that one method shows to be the same. `distance` is in bits, 0 for equal values."""

    left: Positions
    right: Positions
    method: str
    distance: npt.NDArray[np.float64]
    threshold: float


PAIR = {
    "sample_id_a": pl.UInt64,
    "sample_id_b": pl.UInt64,
    "method": pl.String,
    "distance": pl.Float64,
    "threshold": pl.Float64,
    "copy_score": pl.Float64,
    "pdq_distance": pl.Int32,
    "aligned_distance": pl.Float64,
    "inliers": pl.Int32,
    "failure": pl.String,
}


def pairs(
    pictures: Pictures,
    hashes: Iterable[NearPairs],
    embeddings: Iterable[NearPairs],
    thresholds: DuplicateThresholds,
    compare: Compare,
    at_once: int = 1,
) -> Iterator[pa.Table]:
    """Yield every pair of rows that may show the same picture, with the test that found it.

    Args:
        pictures: The training pictures.
        hashes: Different hashes within the radius; may hold hashes that no row has any more.
        embeddings: Different pictures from `thresholds.similar` on; may hold pictures that no row shows any more.
        thresholds: When two pictures are the same.
        compare: Compares pairs of pictures by pixels, by index.
        at_once: Pairs compared at once; changes no result.

    Returns:
        Tables of the columns `PAIR`.
    """
    tied = Components(len(pictures))
    for ties in hash_ties(pictures, hashes, thresholds):
        tied.add(ties.left, ties.right)
        yield _rows(pictures, ties)
    labels = tied.labels()
    near = propose(pictures, embeddings, labels)
    yield from _confirmed(pictures, near, labels, thresholds, compare, at_once)


def hash_ties(pictures: Pictures, hashes: Iterable[NearPairs], thresholds: DuplicateThresholds) -> Iterator[Ties]:
    """Yield the pairs that bytes, pixels and perceptual hashes tie. Equal values are tied to the first of them.

    Args:
        pictures: The training pictures.
        hashes: Different hashes within the radius.
        thresholds: When two hashes show one picture.
    """
    for method, group in (("sha256", pictures.bytes_group), ("pixels", pictures.pixels_group)):
        for start in range(0, len(pictures), _AT_ONCE):
            own = np.arange(start, min(start + _AT_ONCE, len(pictures)))
            further = group[own] != own
            if group is not pictures.bytes_group:  # equal bytes are tied already
                further &= pictures.bytes_group[own] == own
            yield _equal(group[own[further]].astype(np.int64), own[further], method)
    values, first, further = pictures.hashed()
    for start in range(0, len(first), _AT_ONCE):
        yield _equal(first[start : start + _AT_ONCE], further[start : start + _AT_ONCE], "pdq", thresholds.pdq)
    heads, known = values.positions, Lookup(values)
    for near in hashes:
        (a, known_a), (b, known_b) = known.find(near.a), known.find(near.b)
        both = known_a & known_b
        left, right = heads[a[both]].astype(np.int64), heads[b[both]].astype(np.int64)
        yield Ties(np.minimum(left, right), np.maximum(left, right), "pdq", near.measure[both], thresholds.pdq)


def _equal(left: Positions, right: Positions, method: str, threshold: float = 0) -> Ties:
    return Ties(left, right, method, np.zeros(len(left)), threshold)


@dataclass(frozen=True)
class ProposedPairs:
    """Pairs of different pictures, by index, that embeddings propose, the closest first. `score` is their cosine."""

    left: Positions
    right: Positions
    score: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)


def propose(pictures: Pictures, embeddings: Iterable[NearPairs], labels: Positions) -> ProposedPairs:
    """Return the pairs of pictures that embeddings propose and that are in different components.

    Memory: 24 bytes a pair that is kept.

    Args:
        pictures: The training pictures.
        embeddings: Different pictures with close embeddings.
        labels: int64 of shape (n,), the component of each picture.
    """
    known, parts = Lookup(pictures.pixel_digests), []
    for near in embeddings:
        (a, known_a), (b, known_b) = known.find(near.a), known.find(near.b)
        left, right = (pictures.distinct[each].astype(np.int64) for each in (a, b))
        open_ = known_a & known_b & (labels[left] != labels[right])
        low, high = np.minimum(left, right)[open_], np.maximum(left, right)[open_]
        parts.append((low, high, near.measure[open_]))
    if not parts:
        return ProposedPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    left, right, score = (np.concatenate([part[i] for part in parts]) for i in range(3))
    order = np.lexsort((right, left, -score))
    left, right, score = left[order], right[order], score[order]
    new = np.ones(len(left), np.bool_)  # a picture that went and came back was joined twice
    new[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return ProposedPairs(left[new], right[new], score[new])


def _confirmed(
    pictures: Pictures,
    near: ProposedPairs,
    labels: Positions,
    thresholds: DuplicateThresholds,
    compare: Compare,
    at_once: int,
) -> Iterator[pa.Table]:
    """Yield the proposed pairs, each confirmed by pixels or only similar, the closest first.

    A pair is skipped if hashes or earlier pairs tie its ends already, or if pixels refused `_TRIES` pairs of the same
    two groups. So two templates of a thousand variants each do not cost a million comparisons. Several pairs are
    compared at once, before earlier ones may decide later ones. Results of pairs that were decided in the meantime are
    dropped, so the result does not depend on `at_once`.
    """
    undecided = _Undecided(labels[near.left], labels[near.right])
    for start in range(0, len(near), _COMPARED):
        end, rows = min(start + _COMPARED, len(near)), []
        first, compared = start, dict[int, PixelComparison]()
        while first < end:
            asked = undecided.next(first, end, at_once, compared)
            answers = compare([(int(near.left[i]), int(near.right[i])) for i in asked])
            compared |= zip(asked, answers, strict=True)
            for i in range(first, end):
                groups = undecided.groups(i)
                if groups is not None:
                    if i not in compared:
                        break
                    undecided.decide(groups, same=compared[i].same)
                    rows.append(_compared(pictures, near, i, compared[i], thresholds))
                first = i + 1
        yield pl.DataFrame(rows, schema=PAIR, orient="row").to_arrow()


_TRIES = 8
_COMPARED = 10_000  # pairs written at once


class _Undecided:
    """Finds the pairs that pixels must still decide: those of two groups that neither copies nor refusals settle.

    A group is what hashes and earlier comparisons tie: disjoint sets with path halving.
    """

    def __init__(self, left: Positions, right: Positions) -> None:
        labels, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
        self._parent = list(range(len(labels)))
        self._ends = ends.reshape(2, -1)
        self._refused: Counter[tuple[int, int]] = Counter()

    def groups(self, pair: int) -> tuple[int, int] | None:
        """Return the two groups of a pair, or None if it is decided."""
        a, b = sorted((self._root(int(self._ends[0, pair])), self._root(int(self._ends[1, pair]))))
        return None if a == b or self._refused[a, b] >= _TRIES else (a, b)

    def next(self, first: int, end: int, most: int, compared: Container[int]) -> list[int]:
        """Return the next pairs to compare at once, of any two groups no more than refusals would settle.

        Args:
            first: The first pair that may be one.
            end: The pair behind the last.
            most: Pairs to return at most.
            compared: Those that were compared before their turn.
        """
        chosen: list[int] = []
        asked: Counter[tuple[int, int]] = Counter()
        for pair in range(first, end):
            groups = self.groups(pair)
            if groups is not None and self._refused[groups] + asked[groups] < _TRIES:
                asked[groups] += 1
                if pair not in compared:
                    chosen.append(pair)
                if len(chosen) == most:
                    break
        return chosen

    def decide(self, groups: tuple[int, int], *, same: bool) -> None:
        """Tie two groups if a pair shows the same picture, else count a refusal.

        Args:
            groups: What `groups` returned.
            same: Whether pixels confirm the pair.
        """
        if same:
            self._parent[groups[1]] = groups[0]
        else:
            self._refused[groups] += 1

    def _root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = node = self._parent[self._parent[node]]
        return node


def _compared(
    pictures: Pictures, near: ProposedPairs, i: int, comparison: PixelComparison, thresholds: DuplicateThresholds
) -> tuple[object, ...]:
    a, b, cosine = near.left[i], near.right[i], float(near.score[i])
    # rounding may leave the cosine of the threshold a hair beyond it
    distance = comparison.aligned_distance if comparison.same else min(1 - cosine, 1 - thresholds.similar)
    limit = thresholds.pixels.aligned_distance if comparison.same else 1 - thresholds.similar
    bits = int(pictures.bits(a, b)) if pictures.comparable[[a, b]].all() else None
    ids = int(pictures.ids[a]), int(pictures.ids[b])
    method = "aligned" if comparison.same else "similar"
    pixels = comparison.aligned_distance, comparison.inliers, comparison.failure
    return *ids, method, distance, limit, cosine, bits, *pixels


def _rows(pictures: Pictures, ties: Ties) -> pa.Table:
    frame = pl.DataFrame(
        {
            "sample_id_a": pictures.ids[ties.left],  # indices are in order of ids: left is the lower one
            "sample_id_b": pictures.ids[ties.right],
            "distance": ties.distance,
        }
    )
    bits = pl.col("distance").cast(pl.Int32) if ties.method == "pdq" else pl.lit(None, pl.Int32)
    rest: dict[str, pl.Expr] = {name: pl.lit(None, kind) for name, kind in PAIR.items()}
    rest |= {name: pl.col(name) for name in frame.columns}
    rest |= {"method": pl.lit(ties.method), "threshold": pl.lit(float(ties.threshold)), "pdq_distance": bits}
    return frame.select(rest[name].cast(kind).alias(name) for name, kind in PAIR.items()).to_arrow()


def positions(pictures: Pictures, ids: Sequence[int] | npt.NDArray[np.uint64]) -> Positions:
    """Return the indices of sample ids that are among the pictures.

    Args:
        pictures: The training pictures.
        ids: Sample ids, each of one of the pictures.
    """
    return np.searchsorted(pictures.ids, np.asarray(ids, np.uint64)).astype(np.int64)
