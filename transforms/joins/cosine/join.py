"""Exact cosine joins over unit vectors, as blocked matrix products.

What belongs here: which blocks of rows are compared, every pair above a similarity, the nearest of many rows. What does
not: making vectors (`encoders/`), the products (`joins/cosine/tiles.py`), joins that may miss a pair
(`joins/cosine/cells.py`), deciding that a pair shows the same picture (`duplicates/pairs.py`).

An outer block takes half the memory, and all rows to compare with it are read in smaller pieces. So the caller sets the
memory for any number of rows, and rows are read once per outer block. Products are in float32 (TF32 is off): a cosine
is right to about 1e-6. Rounding decides on a pair that close to the threshold. Nothing else depends on the memory or
the device.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.joins.cosine.tiles import BATCH, Hits, device, full_precision, highest, pairs_above, tensor

MEMORY = 2 << 30
"""Bytes that a join may hold by default."""


class VectorRows(Protocol):
    """Unit vectors that are read piece by piece. An array of shape (n, d) may stand for them."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def __len__(self) -> int:
        """Return the number of vectors."""

    def read(self, start: int, stop: int) -> Vectors:
        """Return the vectors of some rows, float32 of shape (stop - start, d), norm 1.

        Args:
            start: The first row.
            stop: The row behind the last.
        """


class IndexedRows(VectorRows, Protocol):
    """Rows that can also be read by index."""

    def take(self, positions: npt.NDArray[np.int64]) -> Vectors:
        """Return the vectors at ascending indices, in that order, float32 of shape (len(positions), d)."""


@dataclass(frozen=True)
class ArrayRows:
    """An array as rows: float32 of shape (n, d), norm 1."""

    vectors: Vectors

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.vectors)

    def read(self, start: int, stop: int) -> Vectors:
        """Return the vectors of some rows.

        Args:
            start: The first row.
            stop: The row behind the last.
        """
        return self.vectors[start:stop]

    def take(self, positions: npt.NDArray[np.int64]) -> Vectors:
        """Return the vectors at some indices."""
        return self.vectors[positions]


@dataclass(frozen=True)
class CosinePairs:
    """Some pairs of rows, at most BATCH; within one set of rows left < right.

    Attributes:
        left: int64 of shape (p,), indices.
        right: Likewise.
        score: float32 of shape (p,), cosine.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True)
class BlockTask:
    """A part of a join, independent of the others: some left rows with some right rows.

    Attributes:
        start: The first left row.
        stop: The left row behind the last.
        first: The first right row.
        last: The right row behind the last.
        step: Right rows read at once.
    """

    start: int
    stop: int
    first: int
    last: int
    step: int


@dataclass(frozen=True)
class NearestRows:
    """The nearest rows of each query, nearest first.

    Attributes:
        position: int64 of shape (n, k), indices of rows.
        score: float32 of shape (n, k), cosine.
    """

    position: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]


def blocks(left: int, right: int | None, memory: int, dimension: int) -> tuple[BlockTask, ...]:
    """Return the tasks that make up a join.

    Half the memory of a task is for the outer block, a quarter for what is read past it (one piece and the next), the
    rest for the pairs. A tile of scores comes on top (`tiles.TILES`). A block holds one row at least.

    Args:
        left: How many rows are joined.
        right: With how many others; None for a self-join.
        memory: Bytes that one task may hold.
        dimension: Length of a vector.
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
    """Yield the pairs of one task.

    Args:
        block: The task.
        left: All left rows.
        right: All right rows; None for a self-join.
        threshold: Least cosine.

    Raises:
        ValueError: If the vectors differ in length.
    """
    outer_rows, inner_rows = as_rows(left), as_rows(left if right is None else right)
    if outer_rows.dimension != inner_rows.dimension:
        raise ValueError(f"vectors must have one length, not {outer_rows.dimension} and {inner_rows.dimension} numbers")
    return merge_batches(_met(block, outer_rows, inner_rows, threshold, own=right is None))


def _met(block: BlockTask, left: VectorRows, right: VectorRows, threshold: float, *, own: bool) -> Iterator[Hits]:
    outer = tensor(left.read(block.start, block.stop))
    for first in range(block.first, block.last, block.step):
        inner = tensor(right.read(first, min(first + block.step, block.last)))
        for a, b, score in pairs_above(outer, inner, threshold, block.start - first if own else None):
            yield a + block.start, b + first, score


def merge_batches(blocks: Iterable[Hits]) -> Iterator[CosinePairs]:
    """Yield the same pairs in fewer batches, none of them empty or larger than BATCH."""
    held: list[Hits] = []
    count = 0
    for hits in blocks:
        if count + len(hits[0]) > BATCH:
            yield CosinePairs(*map(np.concatenate, zip(*held, strict=True)))
            held, count = [], 0
        held.append(hits)
        count += len(hits[0])
    if count:
        yield CosinePairs(*map(np.concatenate, zip(*held, strict=True)))


def self_join(rows: VectorRows | Vectors, threshold: float, memory: int = MEMORY) -> Iterator[CosinePairs]:
    """Yield every pair of rows with cosine ≥ threshold, left < right.

    Runs on CUDA where there is one, else on all cores.

    Args:
        rows: The vectors.
        threshold: Least cosine.
        memory: Bytes, see `blocks`.
    """
    rows = as_rows(rows)
    for block in blocks(len(rows), None, memory, rows.dimension):
        yield from run(block, rows, None, threshold)


def cross_join(
    new: VectorRows | Vectors, old: VectorRows | Vectors, threshold: float, memory: int = MEMORY
) -> Iterator[CosinePairs]:
    """Yield every pair of a new row (left) with an old one (right) with cosine ≥ threshold.

    Args:
        new: Vectors.
        old: Vectors.
        threshold: Least cosine.
        memory: Bytes, see `blocks`.
    """
    new, old = as_rows(new), as_rows(old)
    for block in blocks(len(new), len(old), memory, new.dimension):
        yield from run(block, new, old, threshold)


def as_rows[R: VectorRows](rows: R | Vectors) -> R | ArrayRows:
    """Return rows as they are, and an array of vectors as rows."""
    return ArrayRows(rows) if isinstance(rows, np.ndarray) else rows


def nearest(queries: Vectors, rows: VectorRows | Vectors, k: int, block: int = 65_536) -> NearestRows:
    """Return the k nearest rows for each query; ties go to the lower index.

    Scores are right to about 1e-6, and their last digit depends on where a row lies. What is kept is searched by
    `transforms.matches.search.best_over_views`, whose scores do not.

    Memory: the queries, and n × (block + k) scores.

    Args:
        queries: float32 of shape (n, d), norm 1.
        rows: The vectors that are searched.
        k: Rows returned a query; cut to the number of rows.
        block: Rows read at once.
    """
    torch, where = device()
    rows = as_rows(rows)
    asked, k = tensor(queries), min(k, len(rows))
    score = torch.empty((len(asked), 0), device=where)
    index = torch.empty((len(asked), 0), dtype=torch.int64, device=where)
    for start in range(0, len(rows), block):
        part = tensor(rows.read(start, min(start + block, len(rows))))
        with full_precision():
            scores = asked @ part.T
        scores, columns = highest(scores, min(k, len(part)))
        # Earlier blocks have the lower indices: stable sorts keep these first among equal scores.
        indices, by_index = torch.cat([index, columns + start], dim=1).sort(dim=1)
        scores = torch.cat([score, scores], dim=1).gather(1, by_index)
        order = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
        score, index = scores.gather(1, order), indices.gather(1, order)
    return NearestRows(index.cpu().numpy(), score.cpu().numpy())
