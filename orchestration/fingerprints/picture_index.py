"""The different training pictures with their rows, clusters and vectors: one index for all code that compares them.

What belongs here: reading them, and mapping between pictures, rows and stored vectors. What does not: the arrays
(`transforms/fingerprints/distinct_pictures.py`), comparing pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import Facts
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.stored_vectors import StoredVectors
from transforms.encoders import EncoderId
from transforms.fingerprints.distinct_pictures import DistinctPictures, Indices
from transforms.fingerprints.picture_set import Numbers, Pictures
from transforms.hashing.digest_arrays import BYTES, PickedDigests, Rows
from transforms.storage.scratch import ScratchFile

_CHUNK = 1 << 18  # pictures or rows


@dataclass(frozen=True)
class PictureIndex(DistinctPictures):
    """The different training pictures by index, with the rows that show them and their stored vectors.

    Attributes:
        rows: The usable training rows.
        index_of_row: uint32, the picture of each of these rows.
        vectors: The pictures' embeddings, in the order in which they are stored; none without an encoder.
        index_of_vector: int64 (n,), the picture of each stored vector.
    """

    rows: Pictures
    index_of_row: Numbers
    vectors: StoredVectors
    index_of_vector: Indices

    @cached_property
    def row_counts(self) -> Indices:
        """The count of training rows of each picture."""
        return np.bincount(self.index_of_row, minlength=len(self)).astype(np.int64)

    @cached_property
    def vector_positions(self) -> Indices:
        """The position of each picture's vector in `vectors`; -1 without one."""
        positions = np.full(len(self), -1, np.int64)
        positions[self.index_of_vector] = np.arange(len(self))
        return positions

    def in_stored_order(self, indices: Indices) -> tuple[StoredVectors, Indices]:
        """Return the vectors of some pictures in stored order, and the pictures that have one in the same order."""
        positions = np.sort(self.vector_positions[indices])
        positions = positions[positions >= 0]
        return self.vectors.part(positions), self.index_of_vector[positions]

    def find(self, sample_ids: Sequence[int]) -> list[int | None]:
        """Return the picture of each training row, or None for a row without a usable one."""
        asked = np.array(sample_ids, np.uint64)
        if not len(self.rows):
            return [None] * len(asked)
        positions = np.searchsorted(self.rows.ids, asked).clip(max=len(self.rows) - 1)
        usable = self.rows.ids[positions] == asked
        return [int(self.index_of_row[p]) if u else None for p, u in zip(positions, usable, strict=True)]

    def index(self, sample_id: int) -> int:
        """Return the picture of a usable training row."""
        return int(self.index_of_row[np.searchsorted(self.rows.ids, np.uint64(sample_id))])

    def cluster(self, index: int) -> Indices:
        """Return the pictures of a picture's cluster, by count of rows, highest first, then by lowest sample id."""
        order, starts = self._by_head
        head = self.head[index]
        members = order[starts[head] : starts[head + 1]]
        return members[np.lexsort((self.ids[members], -self.row_counts[members]))]

    @cached_property
    def _by_head(self) -> tuple[Indices, Indices]:
        order = np.argsort(self.head, kind="stable")
        return order, np.searchsorted(self.head[order], np.arange(len(self) + 1))


def read_index(
    facts: Facts,
    encoder: EncoderId | None,
    rows: Pictures,
    kind: str = COPY,
    clusters: Iterable[pa.RecordBatch] | None = None,
) -> PictureIndex:
    """Index the different usable training pictures and read their clusters; their vectors stay in the table.

    Memory: 37 bytes a picture and 4 a row, besides those of `rows`; hashes and digests lie in files without a name.

    Args:
        facts: The fact tables; these files are made in their folder.
        encoder: The encoder that the vectors must be of. None: no picture has a vector.
        rows: All usable training rows, or none.
        kind: Which vectors: `copy` or `semantic`.
        clusters: The columns `sample_id` and `representative_id` of what stands for the clusters; None: the clusters.

    Raises:
        EncoderMismatch: If a shard was embedded by another encoder.
        dg.Failure: If a picture has no embedding.
        OSError: If the disk has too little room.
    """
    vectors, owner = stored_vectors.read_vectors(facts, encoder, rows, kind)
    order = _by_digest(rows.pixel_digests)
    index = np.empty(len(order), np.uint32)  # of each of `rows.distinct`
    index[order] = np.arange(len(order), dtype=np.uint32)
    index_of_row = np.empty(len(rows), np.uint32)
    for part in _slices(len(rows)):
        index_of_row[part] = index[np.searchsorted(rows.distinct, rows.pixels_group[part])]
    first = rows.distinct[order]
    head = np.arange(len(order))
    if clusters is None:
        clusters = facts["cluster_members"].scan(["sample_id", "representative_id"])
    for batch in clusters if len(rows) else ():
        member, representative = (
            index_of_row[np.searchsorted(rows.ids, column.to_numpy())] for column in batch.columns
        )
        head[member] = representative
    return PictureIndex(
        ids=rows.ids[first],
        digests=_copied(rows.pixel_digests.pick(order), facts.folder),
        head=head,
        comparable=rows.comparable[first],
        pdq=_copied(PickedDigests(rows.pdq, first), facts.folder),
        rows=rows,
        index_of_row=index_of_row,
        vectors=vectors,
        index_of_vector=index[owner].astype(np.int64),
    )


def _by_digest(digests: PickedDigests) -> Numbers:
    """Return the ascending order of digests without repeats. Memory: 20 bytes a digest besides."""
    words = np.empty(len(digests), np.uint64)
    for part in _slices(len(digests)):
        words[part] = _words(digests[part])[:, 0]
    order = np.argsort(words, kind="stable").astype(np.uint32)
    words = words[order]
    alike = np.zeros(len(words), np.bool_)
    alike[:-1] = words[1:] == words[:-1]
    alike[1:] |= alike[:-1]
    tied = order[alike]  # the others are told apart by their first word
    order[alike] = tied[np.lexsort(_words(digests[tied]).T[::-1])]  # the first word counts most
    return order


def _words(digests: Rows) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(digests).view(">u8").reshape(-1, 4)


def _copied(digests: PickedDigests, folder: Path) -> Rows:
    """Return digests side by side in a file without a name, mapped."""
    with closing(ScratchFile(folder, len(digests), np.uint8, (BYTES,))) as file:
        for part in _slices(len(digests)):
            file.write(digests[part], part.start)
        return file.mapped()


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, min(count, start + _CHUNK)) for start in range(0, count, _CHUNK))
