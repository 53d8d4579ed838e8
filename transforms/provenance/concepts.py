"""Concepts: clusters of meaning among unit vectors, and what is redundant within them.

What belongs here: finding concepts, keeping their order, placing vectors, and the redundancy of SemDeDup. What does
not: naming concepts (`sql/provenance/concepts.sql`), spherical k-means (`joins/cosine/cells.py`).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.joins.cosine.cells import Cells
from transforms.joins.cosine.join import IndexedRows, VectorRows, as_rows, nearest

_SAMPLED = 64  # vectors a concept that k-means looks at
_BLOCK = 16_384  # vectors placed at once
_TILE = 4_096  # vectors of a concept compared with each other at once: 64 MB of cosines

type Labels = npt.NDArray[np.int32]
type Places = npt.NDArray[np.int64]


def find_concepts(vectors: IndexedRows | Vectors, count: int, seed: int, memory: int) -> Vectors:
    """Return the directions of concepts, float32 (count, d), norm 1, by spherical k-means on a sample.

    Args:
        vectors: n of length d, norm 1.
        count: Of concepts; at most n.
        seed: Of the sample and of the first directions. Equal arguments give equal concepts.
        memory: Bytes that the sample may take, twice.
    """
    rows = as_rows(vectors)
    sample = max(count, min(_SAMPLED * count, memory // (8 * rows.dimension)))
    return Cells.fit(rows, count, seed, sample, spread=True).centroids


def in_earlier_order(found: Vectors, earlier: Vectors) -> Vectors:
    """Return directions in the order of earlier ones, so that a concept keeps its number while pictures come and go.

    A concept takes the place of an earlier one where each is the other's nearest. The others take the places that are
    left, in their own order.

    Args:
        found: float32 (count, d), norm 1.
        earlier: float32 (n, d), norm 1, those of the last clustering; may be none.
    """
    if not len(earlier):
        return found
    cosines = found @ earlier.T
    nearest_earlier, numbers = cosines.argmax(axis=1), np.arange(len(found))
    keeps = (cosines.argmax(axis=0)[nearest_earlier] == numbers) & (nearest_earlier < len(found))
    order = np.full(len(found), -1)
    order[nearest_earlier[keeps]] = numbers[keeps]
    order[order < 0] = numbers[~keeps]
    return found[order]


def placed(vectors: VectorRows | Vectors, concepts: Vectors) -> tuple[Labels, Vectors]:
    """Return the nearest concept of each vector, int32 (n,), and the cosine with it, float32 (n,).

    Args:
        vectors: n of length d, norm 1.
        concepts: float32 (count, d), norm 1.
    """
    rows = as_rows(vectors)
    label, score = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        stop = min(start + _BLOCK, len(rows))
        near = nearest(rows.read(start, stop), concepts, 1)
        label[start:stop], score[start:stop] = near.position[:, 0], near.score[:, 0]
    return label, score


def redundancy(vectors: IndexedRows | Vectors, label: Labels, score: Vectors) -> Vectors:
    """Return how near each vector comes to one before it in its concept: float32 (n,), a cosine; -inf for the first.

    A concept is taken from its edge inwards, so that what is unusual stays. SemDeDup (Abbas et al. 2023) with epsilon
    removes the vectors whose redundancy is above 1 - epsilon.

    Args:
        vectors: n of length d, norm 1.
        label: int32 (n,), the concept of each.
        score: float32 (n,), the cosine with it.
    """
    rows = as_rows(vectors)
    found = np.full(len(rows), -np.inf, np.float32)
    for members in _by_concept(label, score):
        parts = [members[start : start + _TILE] for start in range(0, len(members), _TILE)]
        for at, part in enumerate(parts):
            mine = _read(rows, part)
            best = np.full(len(part), -np.inf, np.float32)
            for earlier in parts[:at]:
                best = np.maximum(best, (_read(rows, earlier) @ mine.T).max(axis=0))
            before = np.where(np.tri(len(part), k=-1, dtype=np.bool_).T, mine @ mine.T, -np.inf)
            found[part] = np.maximum(best, before.max(axis=0))
    return found


def _by_concept(label: Labels, score: Vectors) -> Iterator[Places]:
    """Yield the vectors of each concept, the farthest from it first, and of equals the first one."""
    order = np.lexsort((score, label))
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    yield from np.split(order, starts[1:]) if len(order) else ()


def _read(rows: IndexedRows, positions: Places) -> Vectors:
    order = np.argsort(positions)
    vectors = np.empty((len(positions), rows.dimension), np.float32)
    vectors[order] = rows.take(positions[order])
    return vectors
