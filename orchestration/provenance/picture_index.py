"""The different training pictures with their rows, clusters and nearest: what the measures of memorization work on.

What belongs here: places of pictures, and searching their stored embeddings. What does not: measuring
(`provenance/memorization.py`), the search for sources (`transforms/matches/candidates.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from orchestration.facts import literal
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.runtime.resources import Warehouse
from transforms.duplicates import pairs
from transforms.fingerprints.picture_set import Pictures, Positions
from transforms.fingerprints.views import VIEWS
from transforms.joins.cosine import join
from transforms.provenance import memorization

_BLOCK = 8_192  # training pictures searched at once
_QUERIES = 256  # training pictures scored at once
_WHOLE = VIEWS[0].name


@dataclass(frozen=True)
class Known:
    """The different training pictures by place.

    pictures: the usable rows; a place is a position in `pictures.distinct`. rows: int64 (n,), training rows that show
    the picture. head: int64 (n,), the place of its cluster's representative, its own where it is alone. stored: the
    embeddings as they lie; owner: int64 (n,), the place of each.
    """

    pictures: Pictures
    rows: Positions
    head: Positions
    stored: StoredVectors
    owner: Positions

    def place(self, sample_id: int) -> int:
        """Return the place of a training row's picture."""
        position = pairs.positions(self.pictures, [sample_id])[0]
        return int(np.searchsorted(self.pictures.distinct, self.pictures.pixels_group[position]))

    def sample_id(self, place: int) -> int:
        """Return the first training row that shows a picture."""
        return int(self.pictures.ids[self.pictures.distinct[place]])

    def cluster_of(self, place: int) -> Positions:
        """Return the places of the pictures of a cluster, those of most rows first."""
        order, starts = self._by_head
        head = self.head[place]
        members = order[starts[head] : starts[head + 1]]
        return members[np.lexsort((members, -self.rows[members]))]

    @cached_property
    def _by_head(self) -> tuple[Positions, Positions]:
        order = np.argsort(self.head, kind="stable")
        return order, np.searchsorted(self.head[order], np.arange(len(self.head) + 1))

    def nearest(self, warehouse: Warehouse, names: Sequence[str], k: int) -> dict[str, Positions]:
        """Return the places of the k pictures nearest to each generation as a whole, ascending."""
        among = f"view = '{_WHOLE}' and generation_id in ({', '.join(map(literal, names))})"
        found = warehouse.facts["generation_embeddings"].read(["generation_id", "vector"], among)
        if not found.num_rows:
            return {name: np.empty(0, np.int64) for name in names}
        queries = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False, writable=True)
        queries = queries.reshape(found.num_rows, -1)
        best = join.nearest(queries, self.stored, k, block=_BLOCK)
        near = dict(zip(found["generation_id"].to_pylist(), np.sort(self.owner[best.position], axis=1), strict=True))
        return {name: near.get(name, np.empty(0, np.int64)) for name in names}

    def outliers(self, heads: Positions, k: int) -> tuple[npt.NDArray[np.float64], int]:
        """Return how far representatives lie from their k nearest others: the score of each, and how many others.

        heads: int64 (m,), places of representatives, ascending. Their own cluster does not count: that a picture is
        repeated does not make it usual.
        """
        rows = np.flatnonzero(self.head[self.owner] == self.owner)  # the representatives, as they are stored
        among, at = self.stored.part(rows), self.owner[rows]
        k = min(k, len(at) - 1)
        if k < 1:
            return np.empty(0), 0
        where = np.argsort(at)[np.searchsorted(np.sort(at), heads)]  # of each asked one, its position in `among`
        scores = np.empty(len(heads))
        order = np.argsort(where)
        for start in range(0, len(order), _QUERIES):
            asked = order[start : start + _QUERIES]
            best = join.nearest(among.take(where[asked]), among, k + 1, block=_BLOCK)
            other = best.position != where[asked][:, None]
            other[other.all(axis=1), -1] = False  # it lies behind more than k equals
            scores[asked] = memorization.outlier_scores(best.score[other].reshape(len(asked), k))
        return scores, k


def known(warehouse: Warehouse) -> Known:
    """Read them. Raises as `vectors.stored`."""
    shown = usable_pictures(warehouse.facts)
    place = np.searchsorted(shown.distinct, shown.pixels_group)  # of each row's picture
    rows = np.bincount(place, minlength=len(shown.distinct)).astype(np.int64)
    head = np.arange(len(shown.distinct))
    for batch in warehouse.facts["cluster_members"].scan(["sample_id", "representative_id"]):
        member, first = (place[pairs.positions(shown, column.to_numpy())] for column in batch.columns)
        head[member] = first
    stored, owner = stored_vectors.stored(warehouse.facts, warehouse.encoder().id, shown)
    return Known(shown, rows, head, stored, owner)
