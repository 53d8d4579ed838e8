"""The embeddings of training pictures, read block by block from Lance. The cosine joins and the searches stream them.

What belongs here: mapping stored rows to pictures. What does not: comparing vectors
(`transforms/joins/cosine/join.py`).
"""

from dataclasses import dataclass
from functools import cached_property

import dagster as dg
import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import Facts
from orchestration.fingerprints.kinds import COPY, EMBEDDINGS
from transforms.encoders import EncoderId, Vectors
from transforms.fingerprints.picture_set import Numbers, Pictures
from transforms.readable import count


@dataclass(frozen=True)
class StoredVectors:
    """Unit vectors of a Lance table, in its order. It holds no data, so it can be sent to other processes.

    Attributes:
        uri: Of the table.
        version: Of the table.
        places: int64 (n,), ascending: the rows of the table that belong to it.
        dimension: Of a vector.
    """

    uri: str
    version: int
    places: npt.NDArray[np.int64]
    dimension: int

    def __len__(self) -> int:
        return len(self.places)

    def read(self, start: int, stop: int) -> Vectors:
        """Return a range of vectors, float32 of shape (stop - start, dimension).

        Args:
            start: Index of the first.
            stop: Index after the last.
        """
        return self.take(np.arange(start, min(stop, len(self))))

    def take(self, positions: npt.NDArray[np.int64]) -> Vectors:
        """Return the vectors at these indices, float32 of shape (n, dimension)."""
        if not len(positions):
            return np.empty((0, self.dimension), np.float32)
        rows = self._table.take(self.places[positions].tolist(), columns=["vector"])
        return _matrix(rows["vector"].combine_chunks(), self.dimension)

    def part(self, positions: npt.NDArray[np.integer]) -> "StoredVectors":
        """Return the vectors at these indices, in the order of the table."""
        return StoredVectors(self.uri, self.version, self.places[np.sort(positions)], self.dimension)

    @cached_property
    def _table(self) -> lance.LanceDataset:
        return lance.dataset(self.uri, version=self.version)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the open table."""
        return {name: value for name, value in self.__dict__.items() if name != "_table"}


def read_vectors(
    facts: Facts, encoder: EncoderId | None, pictures: Pictures, kind: str = COPY
) -> tuple[StoredVectors, Numbers]:
    """Return the vectors of the different pictures, in the order in which they are stored.

    Args:
        facts: Of which the notes and the embeddings are read.
        encoder: The identity of the encoder in the settings. None if there is none: then there are no vectors.
        pictures: The training pictures.
        kind: Which embeddings: `copy` or `semantic`.

    Returns:
        The vectors, and for each its index in `pictures.distinct`, uint32 of shape (n,).

    Raises:
        EncoderMismatch: If some shard was embedded by another encoder.
        dg.Failure: If a picture has no embedding.
    """
    if encoder is None:
        return StoredVectors("", 0, np.empty(0, np.int64), 1), np.empty(0, np.uint32)
    notes = facts["fingerprinted_shards"].read(["encoder"], f"fingerprint = '{kind}'")
    for other in notes["encoder"].unique().to_pylist():
        encoder.require(other)
    table = facts[EMBEDDINGS[kind]].dataset()
    wanted = pictures.ids[pictures.distinct]  # ascending
    place, owner, stored, row = np.empty(len(wanted), np.int64), np.empty(len(wanted), np.uint32), 0, 0
    for batch in table.to_batches(columns=["sample_id"]):
        ids = batch.column("sample_id").to_numpy()
        found = np.searchsorted(wanted, ids).clip(max=max(0, len(wanted) - 1))
        hit = wanted[found] == ids if len(wanted) else np.zeros(len(ids), np.bool_)
        end = stored + int(hit.sum())
        place[stored:end], owner[stored:end] = row + np.flatnonzero(hit), found[hit]
        row, stored = row + len(ids), end
    if stored != len(wanted):
        raise dg.Failure(
            f"no {kind} embedding of {count(len(wanted) - stored, 'picture')}; materialize image_fingerprints again"
        )
    return StoredVectors(table.uri, table.version, place, encoder.dimension), owner


def _matrix(column: pa.FixedSizeListArray, dimension: int) -> Vectors:
    return column.flatten().to_numpy(zero_copy_only=False, writable=True).reshape(-1, dimension)  # torch asks for it
