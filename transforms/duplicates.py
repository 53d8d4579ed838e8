"""Which training pictures are the same picture? Pairs by bytes, perceptual hash and embedding, then clusters.

What belongs here: the order of the tests and what each proves. What does not: the joins (`hamming_join.py`,
`cosine_join.py`), the cut of components (`clusters.py`), counts (`sql/duplicates/`).

Equal bytes and hashes within the radius are duplicates. Embeddings only propose: a pair close in embedding counts
once aligned pixels confirm it, so that two photographs of one scene stay two pictures.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from transforms import clusters, cosine_join, hamming_join
from transforms.alignment import Alignment, Limits
from transforms.encoders import Vectors
from transforms.fingerprints import OK
from transforms.hashes import from_hex

Compare = Callable[[int, int], Alignment | None]  # by sample id


@dataclass(frozen=True)
class Thresholds:
    """pdq: bits of 256. similar: cosine. overlap: least share of both pictures. pixels: see `alignment`."""

    pdq: int
    similar: float
    overlap: float
    pixels: Limits


@dataclass(frozen=True)
class Evidence:
    """What shows that two training pictures are one. distance: bits, or root mean square of aligned pixels."""

    method: str
    distance: float
    alignment: Alignment | None = None


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


class Pictures:
    """The usable training pictures, by position: one a row, in order of sample id.

    table: columns sample_id, status, sha256, pixel_sha256, pdq, width, height; no failed rows. Memory: about 300
    bytes a row.
    """

    def __init__(self, table: pa.Table) -> None:
        self.frame = pl.DataFrame(table).sort("sample_id").with_row_index("position")
        self.ids: npt.NDArray[np.uint64] = self.frame["sample_id"].to_numpy()
        self.pdq = from_hex(self.frame["pdq"].to_list())
        self.comparable: npt.NDArray[np.bool_] = (self.frame["status"] == OK).to_numpy()
        self.area: npt.NDArray[np.int64] = (self.frame["width"].cast(pl.Int64) * self.frame["height"]).to_numpy()
        self.bytes_group = self._first("sha256")
        self.pixels_group = self._first("pixel_sha256")

    def __len__(self) -> int:
        return len(self.ids)

    def _first(self, column: str) -> npt.NDArray[np.int64]:
        """Return for each picture the position of the first one with an equal value: equal pictures share it."""
        return self.frame.select(pl.col("position").first().over(column).cast(pl.Int64)).to_series().to_numpy()

    @property
    def distinct(self) -> npt.NDArray[np.int64]:
        """Positions of the first of each group of equal pixels: what needs embedding and comparing once."""
        return np.unique(self.pixels_group)

    def bits(self, a: int, b: int) -> int:
        """Return the PDQ distance of two pictures, in bits."""
        return int(np.bitwise_count(self.pdq[a] ^ self.pdq[b]).sum())


def hash_pairs(pictures: Pictures, thresholds: Thresholds) -> Iterator[pl.DataFrame]:
    """Yield the pairs that bytes and perceptual hashes tie, found exactly.

    Equal values are tied to their first picture: n - 1 pairs for n copies.
    """
    everyone = np.arange(len(pictures))
    twins = everyone[pictures.bytes_group != everyone]
    yield _pairs(pictures, pictures.bytes_group[twins], twins, "sha256", np.zeros(len(twins)), 0)
    hashed = everyone[(pictures.bytes_group == everyone) & pictures.comparable]
    if not len(hashed):
        return
    values, first, group = np.unique(pictures.pdq[hashed], axis=0, return_index=True, return_inverse=True)
    heads = hashed[first[group.ravel()]]
    equal = heads != hashed
    yield _pairs(pictures, heads[equal], hashed[equal], "pdq", np.zeros(equal.sum()), thresholds.pdq)
    for found in hamming_join.self_join(values, thresholds.pdq):
        left, right = hashed[first[found.left]], hashed[first[found.right]]
        yield _pairs(pictures, left, right, "pdq", found.distance.astype(np.float64), thresholds.pdq)


def embedding_pairs(
    pictures: Pictures, vectors: Vectors, tied: pl.DataFrame, thresholds: Thresholds, compare: Compare
) -> pl.DataFrame:
    """Return the pairs close in embedding that `tied` does not explain, each confirmed by pixels or only similar.

    vectors: float32 of shape (len(pictures.distinct), d), norm 1. The closest pairs are compared first, and a pair
    whose ends earlier ones already tie is not compared again: as many comparisons as there are pictures to join.
    """
    forest = _Forest(len(pictures))
    for a, b in zip(*_positions(pictures, tied), strict=True):
        forest.tie(a, b)
    for a, b in enumerate(pictures.pixels_group):
        forest.tie(a, int(b))
    distinct, near = pictures.distinct, []
    for left, right, cosine in cosine_join.self_join(vectors, thresholds.similar):
        near += [(float(c), int(distinct[a]), int(distinct[b])) for a, b, c in zip(left, right, cosine, strict=True)]
    rows = []
    for score, a, b in sorted(near, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if forest.root(a) == forest.root(b):
            continue
        alignment = compare(int(pictures.ids[a]), int(pictures.ids[b]))
        same = alignment is not None and _same_picture(alignment, thresholds)
        if same:
            forest.tie(a, b)
        rows.append(_compared(pictures, a, b, score, alignment, thresholds, same=same))
    return pl.DataFrame(rows, schema=PAIR, orient="row")


def members(pictures: Pictures, pairs: pl.DataFrame, thresholds: Thresholds, compare: Compare) -> pl.DataFrame:
    """Return the clusters that confirmed pairs make, one row a member, the representative among them."""
    confirmed = pairs.filter(pl.col("method") != "similar")
    left, right = _positions(pictures, confirmed)

    @cache  # equal pictures are compared once
    def aligned(a: int, b: int) -> Alignment | None:
        return compare(int(pictures.ids[a]), int(pictures.ids[b]))

    def confirm(representative: int, member: int) -> Evidence | None:
        bits = pictures.bits(representative, member)
        if pictures.bytes_group[representative] == pictures.bytes_group[member]:
            return Evidence("sha256", bits)
        if bits <= thresholds.pdq and pictures.comparable[[representative, member]].all():
            return Evidence("pdq", bits)
        found = aligned(int(pictures.pixels_group[representative]), int(pictures.pixels_group[member]))
        return Evidence("aligned", bits, found) if found is not None and _same_picture(found, thresholds) else None

    rows = []
    for component in clusters.components(len(pictures), left, right):
        for each in clusters.assign(component.tolist(), lambda node: int(pictures.area[node]), confirm):
            evidence = each.evidence or Evidence("representative", 0)
            rows.append(
                (
                    int(pictures.ids[each.member]),
                    int(pictures.ids[each.representative]),
                    evidence.method,
                    float(evidence.distance),
                    evidence.alignment.aligned_distance if evidence.alignment else None,
                )
            )
    names = ("sample_id", "representative_id", "method", "distance_to_representative")
    kinds = (pl.UInt64, pl.UInt64, pl.String, pl.Float64)
    schema = dict(zip(names, kinds, strict=True)) | {"aligned_distance_to_representative": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _same_picture(alignment: Alignment, thresholds: Thresholds) -> bool:
    whole = min(alignment.overlap_a, alignment.overlap_b) >= thresholds.overlap
    return whole and alignment.confirmed(thresholds.pixels)


def _compared(
    pictures: Pictures,
    a: int,
    b: int,
    cosine: float,
    alignment: Alignment | None,
    thresholds: Thresholds,
    *,
    same: bool,
) -> tuple[object, ...]:
    low, high = sorted((int(pictures.ids[a]), int(pictures.ids[b])))
    measured = (alignment.aligned_distance, alignment.inliers) if alignment else (None, None)
    # rounding may leave the cosine of the threshold a hair beyond it
    distance = measured[0] if same else min(1 - cosine, 1 - thresholds.similar)
    limit = thresholds.pixels.aligned_distance if same else 1 - thresholds.similar
    bits = pictures.bits(a, b) if pictures.comparable[[a, b]].all() else None
    return low, high, "aligned" if same else "similar", distance, limit, cosine, bits, *measured


def _pairs(
    pictures: Pictures,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    method: str,
    distance: npt.NDArray[np.float64],
    threshold: float,
) -> pl.DataFrame:
    a, b = pictures.ids[left], pictures.ids[right]
    frame = pl.DataFrame({"sample_id_a": np.minimum(a, b), "sample_id_b": np.maximum(a, b), "distance": distance})
    bits = pl.col("distance").cast(pl.Int32) if method == "pdq" else pl.lit(None, pl.Int32)
    rest = {name: pl.lit(None, kind) for name, kind in PAIR.items()}
    rest |= {name: pl.col(name) for name in frame.columns}
    rest |= {"method": pl.lit(method), "threshold": pl.lit(float(threshold)), "pdq_distance": bits}
    return frame.select(rest[name].cast(kind).alias(name) for name, kind in PAIR.items())


def _positions(pictures: Pictures, pairs: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found = (np.searchsorted(pictures.ids, pairs[name].to_numpy()) for name in ("sample_id_a", "sample_id_b"))
    left, right = found
    return left.astype(np.int64), right.astype(np.int64)


class _Forest:
    """Disjoint sets with path halving."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = node = self._parent[self._parent[node]]
        return node

    def tie(self, a: int, b: int) -> None:
        self._parent[self.root(int(b))] = self.root(int(a))
