"""The members of each cluster, and how alike they are.

What belongs here: computing the rows of members from pairs and pictures. What does not: cutting components
(`duplicates/clusters.py`), pairs (`duplicates/pairs.py`), counts (`sql/duplicates/counts.sql`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.alignment.comparer import PixelComparison
from transforms.duplicates import clusters
from transforms.duplicates.clusters import METHODS, ClusterMembers, Confirm, PictureHashes
from transforms.duplicates.components import ComponentMembers, Components
from transforms.duplicates.decided_clusters import DecidedClusters
from transforms.duplicates.pairs import Compare, DuplicateThresholds, NearPairs, positions
from transforms.duplicates.similarity import least_similarity
from transforms.fingerprints.picture_set import Numbers, Pictures, Positions
from transforms.hashing.digest_tables import Lookup
from transforms.joins.cosine.join import IndexedRows


@dataclass(frozen=True)
class OpenPairs:
    """The pairs worth comparing by pixels: close by embedding, and not decided by hashes.

    Memory: 8 bytes a pair.

    Attributes:
        keys: int64, ascending, `low * n + high` of the indices of two different pictures of n.
        pictures: The training pictures.
    """

    keys: npt.NDArray[np.int64]
    pictures: Pictures

    def __call__(self, representative: int, members: Positions) -> npt.NDArray[np.bool_]:
        """Return which members are worth comparing with their representative.

        Args:
            representative: A picture, by index.
            members: Others, by index.

        Returns:
            bool of the shape of `members`.
        """
        one, others = self.pictures.pixels_group[representative], self.pictures.pixels_group[members]
        keys = _keys(len(self.pictures), np.minimum(one, others), np.maximum(one, others))
        found = np.searchsorted(self.keys, keys).clip(max=max(0, len(self.keys) - 1))
        return self.keys[found] == keys if len(self.keys) else np.zeros(len(members), np.bool_)


def _keys(count: int, low: npt.NDArray[np.integer], high: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    return low.astype(np.int64) * count + high  # fits: 3 billion pictures squared are below 2⁶³


def open_pairs(
    pictures: Pictures, embeddings: Iterable[NearPairs], thresholds: DuplicateThresholds, labels: Positions
) -> OpenPairs:
    """Return the pairs that embeddings propose within a component and that hashes do not decide.

    Args:
        pictures: The training pictures.
        embeddings: Different pictures with close embeddings.
        thresholds: When two hashes show one picture.
        labels: The component of each picture.
    """
    known, parts = Lookup(pictures.pixel_digests), [np.empty(0, np.int64)]
    for near in embeddings:
        (a, known_a), (b, known_b) = known.find(near.a), known.find(near.b)
        left, right = (pictures.distinct[each].astype(np.int64) for each in (a, b))
        by_hash = pictures.comparable[left] & pictures.comparable[right]
        by_hash &= pictures.bits(left, right) <= thresholds.pdq
        kept = known_a & known_b & (labels[left] == labels[right]) & ~by_hash
        left, right = left[kept], right[kept]
        parts.append(_keys(len(pictures), np.minimum(left, right), np.maximum(left, right)))
    return OpenPairs(np.unique(np.concatenate(parts)), pictures)


def connect(pictures: Pictures, pairs: Iterable[pa.RecordBatch]) -> Components:
    """Return the components of confirmed pairs.

    Args:
        pictures: The training pictures.
        pairs: Columns sample_id_a and sample_id_b, confirmed pairs alone.
    """
    components = Components(len(pictures))
    for batch in pairs:
        components.add(*(positions(pictures, batch.column(name).to_numpy()) for name in ("sample_id_a", "sample_id_b")))
    return components


def members(
    pictures: Pictures,
    components: ComponentMembers,
    thresholds: DuplicateThresholds,
    worth: OpenPairs,
    compare: Compare,
) -> Iterator[pa.Table]:
    """Yield the members of the clusters that components are cut into, including the representatives.

    A row that is not recalled is represented by one that is not recalled either. Recalled rows do not affect the
    choice.

    Args:
        pictures: The training pictures.
        components: Which pictures confirmed pairs connect.
        thresholds: When two hashes are one picture's.
        worth: The pairs worth comparing by pixels.
        compare: Compares pairs of pictures by pixels, by index.
    """
    for part in clusters.cut(components, pictures.rank, _hashes(pictures, thresholds), worth, _confirmer(compare)):
        yield _rows(pictures, part)


def decided(
    pictures: Pictures,
    components: ComponentMembers,
    thresholds: DuplicateThresholds,
    worth: OpenPairs,
    compare: Compare,
) -> DecidedClusters:
    """Return the clusters of components that decisions are about, to be changed by them.

    Args:
        pictures: The training pictures.
        components: As for `members`.
        thresholds: Likewise.
        worth: Likewise.
        compare: Likewise.
    """
    return DecidedClusters(pictures, components, _hashes(pictures, thresholds), worth, _confirmer(compare))


def _hashes(pictures: Pictures, thresholds: DuplicateThresholds) -> PictureHashes:
    return PictureHashes(pictures.pdq, pictures.comparable, pictures.bytes_group, pictures.pixels_group, thresholds.pdq)


def _confirmer(compare: Compare) -> Confirm[PixelComparison]:
    def confirm(representative: int, members: Sequence[int]) -> list[PixelComparison | None]:
        comparisons = compare([(representative, member) for member in members])
        return [comparison if comparison.same else None for comparison in comparisons]

    return confirm


def _rows(pictures: Pictures, part: ClusterMembers[PixelComparison]) -> pa.Table:
    aligned = np.full(len(part.member), np.nan)
    for i in np.flatnonzero(part.method == METHODS.index("aligned")).tolist():
        aligned[i] = part.evidence[int(part.member[i])].aligned_distance
    return pa.table(
        {
            "sample_id": pictures.ids[part.member],
            "representative_id": pictures.ids[part.representative],
            "method": np.array(METHODS, object)[part.method],
            "distance_to_representative": part.bits.astype(np.float64),
            "aligned_distance_to_representative": pa.array(aligned, from_pandas=True),  # NaN: none
            "automatic_representative_id": pa.nulls(len(part.member), pa.uint64()),
            "decisions": pa.nulls(len(part.member), pa.list_(pa.string())),
        }
    )


def similarities(
    pictures: Pictures, members: Iterable[pa.RecordBatch], vectors: IndexedRows, owner: Numbers, at_once: int
) -> Iterator[pa.Table]:
    """Yield the least cosine inside each cluster of at least two rows that are not recalled.

    Args:
        pictures: The training pictures.
        members: Columns sample_id and representative_id.
        vectors: Embeddings of the different pictures.
        owner: uint32, the index in `pictures.distinct` of each vector.
        at_once: Vectors held at a time; a larger cluster is held whole.
    """
    heads, rows = _live(pictures, members)
    order = np.argsort(heads, kind="stable")
    heads, rows = heads[order], rows[order]
    starts = np.flatnonzero(np.diff(heads, prepend=-1))
    ends = np.append(starts[1:], len(heads))
    vector_of = np.empty(len(pictures.distinct), np.uint32)
    vector_of[owner] = np.arange(len(owner), dtype=np.uint32)

    def of(some: Positions) -> npt.NDArray[np.uint32]:
        """Return the vector of each of some pictures."""
        return vector_of[np.searchsorted(pictures.distinct, pictures.pixels_group[some])]

    repeated = np.flatnonzero(ends - starts > 1)
    for some in _portions(repeated, ends - starts, at_once):
        needed = [np.unique(of(rows[starts[i] : ends[i]])) for i in some]
        every = np.unique(np.concatenate(needed)).astype(np.int64)
        held = vectors.take(every)
        least_rows = []
        for i, mine in zip(some, needed, strict=True):
            [first] = of(heads[starts[i] : starts[i] + 1])  # the representative comes first
            ordered = np.concatenate([[first], mine[mine != first]])
            least = least_similarity(held[np.searchsorted(every, ordered)])
            least_rows.append((int(pictures.ids[heads[starts[i]]]), len(mine), least.similarity, least.exact))
        ids, distinct, least_of, exact = zip(*least_rows, strict=True)
        yield pa.table(
            {
                "representative_id": pa.array(ids, pa.uint64()),
                "distinct_pictures": pa.array(distinct, pa.int64()),
                "min_similarity": pa.array(least_of, pa.float64()),
                "min_similarity_exact": pa.array(exact, pa.bool_()),
            }
        )


def _live(pictures: Pictures, members: Iterable[pa.RecordBatch]) -> tuple[Positions, Positions]:
    heads, rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in members:
        row = positions(pictures, batch.column("sample_id").to_numpy())
        kept = pictures.live[row]
        rows.append(row[kept])
        heads.append(positions(pictures, batch.column("representative_id").to_numpy())[kept])
    return np.concatenate(heads), np.concatenate(rows)


def _portions(numbers: Positions, sizes: Positions, at_once: int) -> Iterator[list[int]]:
    """Yield some clusters at a time, of at most `at_once` rows together."""
    held: list[int] = []
    room = at_once
    for cluster in numbers.tolist():
        if held and sizes[cluster] > room:
            yield held
            held, room = [], at_once
        held.append(cluster)
        room -= int(sizes[cluster])
    if held:
        yield held
