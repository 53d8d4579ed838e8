"""Which training pictures are the same picture? Pairs by bytes, pixels, perceptual hash and embedding.

What belongs here: the order of the tests and what each proves. What does not: the joins (`joins/hamming/join.py`,
`joins/cosine/join.py`), the clusters (`duplicates/clusters.py`, `duplicates/members.py`), counts (`sql/duplicates/`).

Equal bytes, equal pixels and hashes within the radius are duplicates. Embeddings only propose: a pair close in
embedding counts once aligned pixels confirm it, so that two photographs of one scene stay two pictures.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from transforms.alignment.comparer import PixelComparison
from transforms.alignment.policy import PixelLimits
from transforms.duplicates.components import Components
from transforms.fingerprints.picture_set import Pictures, Positions
from transforms.hashing.digest_arrays import Lookup

Compare = Callable[[int, int], PixelComparison]  # by position


@dataclass(frozen=True)
class DuplicateThresholds:
    """pdq: bits of 256. similar: cosine. overlap: least share of both pictures. pixels: see `alignment`."""

    pdq: int
    similar: float
    overlap: float
    pixels: PixelLimits


@dataclass(frozen=True)
class NearPairs:
    """Pairs of different fingerprints within a threshold, as a join found them.

    a, b: uint8 (p, 32), hashes or SHA-256 of pixels. measure: float64 (p,), differing bits or cosine.
    """

    a: npt.NDArray[np.uint8]
    b: npt.NDArray[np.uint8]
    measure: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ties:
    """Pairs of pictures, by position, that one method shows to be the same. distance: bits, 0 for equal values."""

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
}


def pairs(
    pictures: Pictures,
    hashes: Iterable[NearPairs],
    embeddings: Iterable[NearPairs],
    thresholds: DuplicateThresholds,
    compare: Compare,
    workers: int = 1,
) -> Iterator[pa.Table]:
    """Yield every pair of rows that may show the same picture, with the test that says so.

    hashes: the different hashes within the radius. embeddings: the different pictures from `thresholds.similar` on.
    Both may name fingerprints that no row has any more. workers: comparisons made at once.
    """
    tied = Components(len(pictures))
    for ties in hash_ties(pictures, hashes, thresholds):
        tied.add(ties.left, ties.right)
        yield _rows(pictures, ties)
    labels = tied.labels()
    near = propose(pictures, embeddings, labels)
    yield from _confirmed(pictures, near, labels, thresholds, compare, workers)


def hash_ties(pictures: Pictures, hashes: Iterable[NearPairs], thresholds: DuplicateThresholds) -> Iterator[Ties]:
    """Yield the pairs that bytes, pixels and perceptual hashes tie.

    Equal values are tied to their first picture: n - 1 pairs for n copies.
    """
    everyone = np.arange(len(pictures))
    twins = everyone[pictures.bytes_group != everyone]
    yield _equal(pictures.bytes_group[twins], twins, "sha256")
    twins = everyone[(pictures.bytes_group == everyone) & (pictures.pixels_group != everyone)]
    yield _equal(pictures.pixels_group[twins], twins, "pixels")
    values, heads, rows, of = pictures.hashed()
    others = heads[of] != rows
    yield _equal(heads[of[others]], rows[others], "pdq", thresholds.pdq)
    known = Lookup(values)
    for near in hashes:
        (a, there_a), (b, there_b) = known.find(near.a), known.find(near.b)
        there = there_a & there_b
        left, right = heads[a[there]], heads[b[there]]
        yield Ties(np.minimum(left, right), np.maximum(left, right), "pdq", near.measure[there], thresholds.pdq)


def _equal(left: Positions, right: Positions, method: str, threshold: float = 0) -> Ties:
    return Ties(left, right, method, np.zeros(len(left)), threshold)


@dataclass(frozen=True)
class ProposedPairs:
    """Pairs of different pictures, by position, that embeddings propose, the closest first. score: cosine."""

    left: Positions
    right: Positions
    score: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)


def propose(pictures: Pictures, embeddings: Iterable[NearPairs], labels: Positions) -> ProposedPairs:
    """Return the pairs of pictures that embeddings propose and that lie in different components.

    labels: int64 (n,), the component of each picture. Memory: 24 bytes a pair that is kept.
    """
    known, parts = Lookup(pictures.pixel_digests), []
    for near in embeddings:
        (a, there_a), (b, there_b) = known.find(near.a), known.find(near.b)
        left, right = pictures.distinct[a], pictures.distinct[b]
        open_ = there_a & there_b & (labels[left] != labels[right])
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
    workers: int,
) -> Iterator[pa.Table]:
    """Yield the proposed pairs, each confirmed by pixels or only similar.

    The closest are compared first. A pair whose ends earlier ones tie, through hashes or by pixels, is not compared,
    nor one of two groups of copies between which pixels refused `_TRIES` pairs: two templates of a thousand variants
    each cost no million comparisons. Which pairs these are does not depend on `workers`.
    """
    nodes, places = np.unique(labels[np.concatenate([near.left, near.right])], return_inverse=True)
    forest, ends = _Forest(len(nodes)), places.reshape(2, -1)
    refused: Counter[tuple[int, int]] = Counter()

    def apart(i: int) -> tuple[int, int] | None:
        a, b = sorted((forest.root(int(ends[0, i])), forest.root(int(ends[1, i]))))
        return None if a == b or refused[a, b] >= _TRIES else (a, b)

    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(near), _AT_ONCE):
            end, rows = min(start + _AT_ONCE, len(near)), []
            for first in range(start, end, 2 * workers):
                open_ = [i for i in range(first, min(first + 2 * workers, end)) if apart(i)]
                found = pool.map(lambda i: compare(int(near.left[i]), int(near.right[i])), open_)
                for i, each in zip(open_, found, strict=True):
                    roots = apart(i)
                    if roots is None:
                        continue  # settled by one of its neighbours here
                    if each.same:
                        forest.tie(*roots)
                    else:
                        refused[roots] += 1
                    rows.append(_compared(pictures, near, i, each, thresholds))
            yield pl.DataFrame(rows, schema=PAIR, orient="row").to_arrow()


_TRIES = 8
_AT_ONCE = 10_000


def _compared(
    pictures: Pictures, near: ProposedPairs, i: int, found: PixelComparison, thresholds: DuplicateThresholds
) -> tuple[object, ...]:
    a, b, cosine = near.left[i], near.right[i], float(near.score[i])
    # rounding may leave the cosine of the threshold a hair beyond it
    distance = found.aligned_distance if found.same else min(1 - cosine, 1 - thresholds.similar)
    limit = thresholds.pixels.aligned_distance if found.same else 1 - thresholds.similar
    bits = int(pictures.bits(a, b)) if pictures.comparable[[a, b]].all() else None
    ids = int(pictures.ids[a]), int(pictures.ids[b])
    method = "aligned" if found.same else "similar"
    return *ids, method, distance, limit, cosine, bits, found.aligned_distance, found.inliers


def _rows(pictures: Pictures, ties: Ties) -> pa.Table:
    frame = pl.DataFrame(
        {
            "sample_id_a": pictures.ids[ties.left],  # positions are in order of ids: left is the lower one
            "sample_id_b": pictures.ids[ties.right],
            "distance": ties.distance,
        }
    )
    bits = pl.col("distance").cast(pl.Int32) if ties.method == "pdq" else pl.lit(None, pl.Int32)
    rest: dict[str, pl.Expr] = {name: pl.lit(None, kind) for name, kind in PAIR.items()}
    rest |= {name: pl.col(name) for name in frame.columns}
    rest |= {"method": pl.lit(ties.method), "threshold": pl.lit(float(ties.threshold)), "pdq_distance": bits}
    return frame.select(rest[name].cast(kind).alias(name) for name, kind in PAIR.items()).to_arrow()


class _Forest:
    """Disjoint sets with path halving."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = node = self._parent[self._parent[node]]
        return node

    def tie(self, a: int, b: int) -> None:
        self._parent[self.root(b)] = self.root(a)


def positions(pictures: Pictures, ids: Sequence[int] | npt.NDArray[np.uint64]) -> Positions:
    """Return the positions of sample ids that are among the pictures."""
    return np.searchsorted(pictures.ids, np.asarray(ids, np.uint64)).astype(np.int64)
