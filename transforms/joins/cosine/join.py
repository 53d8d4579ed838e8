"""Exact cosine joins over unit vectors, as blocked matrix products.

What belongs here: which blocks of rows meet, every pair above a similarity, and the nearest of many for each row. What
does not: making vectors (`encoders/`), the products (`joins/cosine/tiles.py`), joins that may miss a pair
(`joins/cosine/cells.py`), deciding that a pair shows the same picture (`duplicates/pairs.py`).

Rows are read in blocks: an outer one of half the memory, and past it, in smaller ones, all rows that it has to meet.
So the memory is what the caller allows, however many rows there are, and rows are read once for each outer block.
All products are in float32 (TF32 is off), so that a cosine is right to about 1e-6; whether a pair that close to the
threshold is in or out is a matter of rounding, everything else does not depend on the memory or the device.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.joins.cosine.tiles import BATCH, Hits, above, device, full_precision, highest, tensor

MEMORY = 2 << 30
"""Bytes that a join may hold unless told otherwise."""


class VectorRows(Protocol):
    """Unit vectors that are read piece by piece. An array of shape (n, d) is taken wherever rows are."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def __len__(self) -> int:
        """Return the number of vectors."""

    def read(self, start: int, stop: int) -> Vectors:
        """Return the vectors from `start` up to `stop`, float32 of shape (stop - start, d), norm 1."""


class IndexedRows(VectorRows, Protocol):
    """Rows that can also be had by position."""

    def take(self, positions: npt.NDArray[np.int64]) -> Vectors:
        """Return the vectors at ascending positions, float32 of shape (len(positions), d), in that order."""


@dataclass(frozen=True)
class ArrayRows:
    """An array as rows. vectors: float32 of shape (n, d), norm 1."""

    vectors: Vectors

    @property
    def dimension(self) -> int:
        """See VectorRows."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.vectors)

    def read(self, start: int, stop: int) -> Vectors:
        """See VectorRows."""
        return self.vectors[start:stop]

    def take(self, positions: npt.NDArray[np.int64]) -> Vectors:
        """See IndexedRows."""
        return self.vectors[positions]


@dataclass(frozen=True)
class CosinePairs:
    """Some pairs of rows, at most BATCH.

    left, right: int64 of shape (p,), positions; within one set of rows left < right. score: float32 (p,), cosine.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]


@dataclass(frozen=True)
class BlockTask:
    """A task of a join, independent of the others: left rows from `start` to `stop` with right rows `first` to `last`.

    step: right rows read at once.
    """

    start: int
    stop: int
    first: int
    last: int
    step: int


@dataclass(frozen=True)
class NearestRows:
    """The best of many for each query, best first.

    position: int64 of shape (n, k) into the searched vectors. score: float32 of shape (n, k), cosine.
    """

    position: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]


def blocks(left: int, right: int | None, memory: int, dimension: int) -> tuple[BlockTask, ...]:
    """Return the tasks that make up a join of `left` rows with `right` others, or with each other where right is None.

    memory: bytes that one task may hold. Half of it is for the outer block, a quarter for what is read past it (one
    piece and the next), the rest for the pairs; a tile of scores comes on top (see `cosine_scan.TILES`). A block holds
    one row at least.
    """
    rows = max(1, memory // 2 // (4 * dimension))
    step = max(1, rows // 4)
    return tuple(
        BlockTask(start, min(start + rows, left), start if right is None else 0, left if right is None else right, step)
        for start in range(0, left, rows)
    )


def run(
    block: BlockTask, left: VectorRows | Vectors, right: VectorRows | Vectors | None, threshold: float
) -> Iterator[CosinePairs]:
    """Yield the pairs of one task: see `self_join` where right is None, else `cross_join`.

    Raises ValueError for vectors of different lengths.
    """
    outer_rows, inner_rows = as_rows(left), as_rows(left if right is None else right)
    if outer_rows.dimension != inner_rows.dimension:
        raise ValueError(f"vectors of {outer_rows.dimension} and of {inner_rows.dimension} numbers have no cosine")
    return batched(_met(block, outer_rows, inner_rows, threshold, own=right is None))


def _met(block: BlockTask, left: VectorRows, right: VectorRows, threshold: float, *, own: bool) -> Iterator[Hits]:
    outer = tensor(left.read(block.start, block.stop))
    for first in range(block.first, block.last, block.step):
        inner = tensor(right.read(first, min(first + block.step, block.last)))
        for a, b, score in above(outer, inner, threshold, block.start - first if own else None):
            yield a + block.start, b + first, score


def batched(found: Iterable[Hits]) -> Iterator[CosinePairs]:
    """Yield the same pairs in fewer batches, none of them empty or larger than BATCH."""
    held: list[Hits] = []
    count = 0
    for hits in found:
        if count + len(hits[0]) > BATCH:
            yield CosinePairs(*map(np.concatenate, zip(*held, strict=True)))
            held, count = [], 0
        held.append(hits)
        count += len(hits[0])
    if count:
        yield CosinePairs(*map(np.concatenate, zip(*held, strict=True)))


def self_join(rows: VectorRows | Vectors, threshold: float, memory: int = MEMORY) -> Iterator[CosinePairs]:
    """Yield every pair of rows with cosine ≥ threshold, left < right, in batches of bounded size.

    memory: bytes, see `blocks`. On CUDA where there is one, else on all cores.
    """
    rows = as_rows(rows)
    for block in blocks(len(rows), None, memory, rows.dimension):
        yield from run(block, rows, None, threshold)


def cross_join(
    new: VectorRows | Vectors, old: VectorRows | Vectors, threshold: float, memory: int = MEMORY
) -> Iterator[CosinePairs]:
    """Yield every pair of a new row (left) with an old one (right) with cosine ≥ threshold; see `self_join`."""
    new, old = as_rows(new), as_rows(old)
    for block in blocks(len(new), len(old), memory, new.dimension):
        yield from run(block, new, old, threshold)


def as_rows[R: VectorRows](rows: R | Vectors) -> R | ArrayRows:
    """Return rows as they are, and an array of vectors as rows."""
    return ArrayRows(rows) if isinstance(rows, np.ndarray) else rows


def nearest(queries: Vectors, rows: VectorRows | Vectors, k: int, block: int = 65_536) -> NearestRows:
    """Return the k nearest rows for each query, exactly; ties go to the lower position.

    queries: float32 (n, d), norm 1. k is cut to the number of rows. block: rows read at once. Memory: the queries, and
    n × (block + k) scores.
    """
    rows = as_rows(rows)
    best = _NearestSoFar(tensor(queries), min(k, len(rows)))
    for start in range(0, len(rows), block):
        best.meet(tensor(rows.read(start, min(start + block, len(rows)))), start)
    return best.neighbours()


def nearest_self(rows: VectorRows | Vectors, k: int, memory: int = MEMORY) -> Iterator[NearestRows]:
    """Yield the k nearest others of every row, exactly, in the order of the rows, some rows at once.

    A row is never its own neighbour, an equal one is; ties go to the lower position. k is cut to the other rows.
    memory: bytes: half for the rows of a batch and their neighbours, an eighth for what is read past them, a quarter
    for scores.
    """
    rows = as_rows(rows)
    k = min(k, max(0, len(rows) - 1))
    size = max(1, memory // 2 // (4 * rows.dimension + 60 * k))
    step = max(1, memory // 8 // (4 * rows.dimension))
    at_once = max(1, memory // 4 // (4 * step))
    for first in range(0, len(rows), size):
        outer = tensor(rows.read(first, min(first + size, len(rows))))
        best = [_NearestSoFar(part, k, own=first + at_once * i) for i, part in enumerate(outer.split(at_once))]
        for start in range(0, len(rows), step):
            inner = tensor(rows.read(start, min(start + step, len(rows))))
            for each in best:
                each.meet(inner, start)
        found = [each.neighbours() for each in best]
        yield NearestRows(np.concatenate([f.position for f in found]), np.concatenate([f.score for f in found]))


class _NearestSoFar:
    """The best k so far for some queries, which meet the rows block by block, in the order of their positions.

    own: where the queries are rows themselves, the position of the first; a row then does not meet itself.
    """

    def __init__(self, queries: Any, k: int, own: int | None = None) -> None:  # noqa: ANN401
        torch, where = device()
        self._queries, self._k, self._own = queries, k, own
        self._score = torch.empty((len(queries), 0), device=where)
        self._position = torch.empty((len(queries), 0), dtype=torch.int64, device=where)

    def meet(self, part: Any, start: int) -> None:  # noqa: ANN401
        """Compare with rows of positions from `start` on."""
        torch, _ = device()
        with full_precision():
            scores = self._queries @ part.T
        if self._own is not None:  # its own score is lowest, so that every other row comes before it
            scores.diagonal(self._own - start).fill_(-torch.inf)
        scores, places = highest(scores, min(self._k, len(part)))
        # What is there already has the lower positions: a stable sort keeps it first among equals.
        positions, by_position = torch.cat([self._position, places + start], dim=1).sort(dim=1)
        scores = torch.cat([self._score, scores], dim=1).gather(1, by_position)
        order = scores.sort(dim=1, descending=True, stable=True).indices[:, : self._k]
        self._score, self._position = scores.gather(1, order), positions.gather(1, order)

    def neighbours(self) -> NearestRows:
        """Return what was found."""
        return NearestRows(self._position.cpu().numpy(), self._score.cpu().numpy())
