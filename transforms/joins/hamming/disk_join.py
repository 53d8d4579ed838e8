"""The exact Hamming join of more hashes than memory holds: band by band, in parts that lie on disk.

What belongs here: which pieces are in memory together, and how large they are. What does not: their files
(`joins/hamming/partition.py`), comparing them (`joins/hamming/comparisons.py`), whether the disk is needed
(`joins/hamming/bounded_join.py`).

For each band the hashes are cut into parts by its highest bits, and each part is sorted by the others. Two hashes that
differ in at most r bits of the band lie in parts whose numbers differ in at most r bits, so only such parts are
compared. As many pieces of parts as memory takes stay there, are compared with each other, and the pieces behind them
are read past them. While it is in memory, each piece is written for the next band: a band is written once, and read
once and as often more as memory is short. Nothing is read in random order.

A pair is reported in the first band in which it matches, as in memory: exactly once.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.joins.hamming import kernels
from transforms.joins.hamming.comparisons import (
    ROW,
    Arranged,
    HammingPairs,
    HashSet,
    SortedSet,
    Work,
    arrange,
    band_rule,
    comparisons,
    gathered,
    integer,
)
from transforms.joins.hamming.join import BATCH, check
from transforms.joins.hamming.partition import DiskPiece, HashPartition, disk_bytes
from transforms.joins.hamming.plan import BandPlan, HashBand, plan
from transforms.joins.hamming.workers import Workers
from transforms.joins.progress import Progress

_PIECES = 20  # of which memory holds so many
_PASSING = 4  # of these are not kept: the piece that is sorted, the one that is read meanwhile, and what sorting takes
_MOST_PARTS = 10  # bits
_FULL = 0.95  # of a piece is filled by a part of its size, for parts differ
_PAIR = 17  # bytes
_UNITS = 16  # pieces of work for two sets: there are many of them
_BATCHES = 32  # batches of pairs would fill memory


class HashRows(Protocol):
    """256-bit hashes that are read piece by piece. An array of shape (n, 32), or a memory map, is one."""

    def __len__(self) -> int:
        """Return the number of hashes."""

    def __getitem__(self, part: slice, /) -> npt.NDArray[np.uint8]:
        """Return the hashes of a slice, uint8 of shape (k, 32)."""


@dataclass(frozen=True)
class Layout:
    """How hashes are cut to fit in memory.

    Attributes:
        piece: Most hashes of a piece.
        kept: Most hashes that stay in memory while others are read past them.
        high: Bits that number the parts.
        batch: Most pairs yielded at once.
    """

    piece: int
    kept: int
    high: int
    batch: int


def layout(planned: BandPlan, count: int, memory: int) -> Layout:
    """Return how hashes are cut.

    Args:
        planned: The bands.
        count: How many hashes there are, of the larger side.
        memory: Bytes that may be held.
    """
    batch = min(BATCH, max(kernels.LANES, memory // _BATCHES // _PAIR))
    bytes_each = ROW + np.dtype(integer(count)).itemsize
    room = max(_PIECES, (memory - 4 * _PAIR * batch) // bytes_each)
    piece = room // _PIECES
    parts = max(1, int(np.ceil(count / (_FULL * piece))))
    high = min(_MOST_PARTS, *(band.width for band in planned.bands), (parts - 1).bit_length())
    return Layout(piece, piece * (_PIECES - _PASSING), high, batch)


def scratch_bytes(left: int, right: int | None) -> int:
    """Return how many bytes a join takes on disk.

    Args:
        left: How many hashes are joined.
        right: With how many others; None for a self-join.
    """
    return 2 * (disk_bytes(left) + disk_bytes(right or 0))


class _Side:
    """The hashes of one side: in parts by the current band, and, as they are read, by the next one."""

    def __init__(self, count: int, folder: Path, cut: Layout, workers: Workers, files: ExitStack) -> None:
        self._now, self._next = (files.enter_context(closing(HashPartition(folder, count))) for _ in range(2))
        self._count, self._cut, self._workers, self._band = count, cut, workers, HashBand(0, 0, 0)

    def fill(self, hashes: HashRows, band: HashBand) -> None:
        self._next.begin(band, self._cut.high)
        for start in range(0, self._count, self._cut.piece):
            part = np.asarray(hashes[start : min(self._count, start + self._cut.piece)])
            check(part)
            rows = arrange(part, self._workers)
            self._next.append(rows, np.arange(start, start + len(rows)), self._workers)

    def turn(self, band: HashBand, following: HashBand | None) -> list[DiskPiece]:
        """Go on to the next band, and return its pieces."""
        self._now, self._next, self._band = self._next, self._now, band
        self._last, self._written = following is None, set[DiskPiece]()
        if following is not None:
            self._next.begin(following, self._cut.high)
        return self._now.pieces(self._cut.piece)

    def read(self, piece: DiskPiece) -> tuple[Arranged, npt.NDArray[np.integer]]:
        return self._now.read(piece)

    def write(self, piece: DiskPiece, rows: Arranged, index: npt.NDArray[np.integer]) -> None:
        """Write a piece for the next band, the first time that it is read."""
        if not self._last and piece not in self._written:
            self._next.append(rows, index, self._workers)
            self._written.add(piece)

    def unwritten(self, pieces: list[DiskPiece]) -> list[DiskPiece]:
        return [] if self._last else [piece for piece in pieces if piece not in self._written]

    def take(self, piece: DiskPiece, rows: Arranged, index: npt.NDArray[np.integer]) -> SortedSet:
        """Return a piece sorted by the band, and write it for the next one."""
        self.write(piece, rows, index)
        return HashSet(rows, self._workers).sort(_low(self._band, self._cut.high), index)


def join(
    left: HashRows,
    right: HashRows | None,
    radius: int,
    memory: int,
    folder: Path,
    progress: Progress,
    threads: int | None = None,
) -> Iterator[HammingPairs]:
    """Yield every pair within `radius` bits, once.

    Args:
        left: The hashes.
        right: Others, which they are joined with; None for a self-join.
        radius: Most differing bits of a pair.
        memory: Bytes that may be held, besides what `left` and `right` hold.
        folder: On a disk with room for `scratch_bytes`.
        progress: Is told the share of the work that is done.
        threads: None for all cores.

    Raises:
        OSError: If the disk has too little room.
        ValueError: If these are no hashes, or the radius is not from 0 to 255.
    """
    if not len(left) or (right is not None and not len(right)):
        return
    turned = right is not None and len(left) > len(right)  # the fewer stay in memory
    planned = plan(len(left), None if right is None else len(right), radius)
    cut = layout(planned, max(len(left), 0 if right is None else len(right)), memory)
    count = threads or nb.config.NUMBA_NUM_THREADS
    # The threads end before the files are closed.
    with ExitStack() as files, ThreadPoolExecutor(count) as pool, ThreadPoolExecutor(1) as reader:
        workers = Workers(pool, count)
        given = [left] if right is None else [right, left] if turned else [left, right]
        sides = [_Side(len(rows), folder, cut, workers, files) for rows in given]
        for side, rows in zip(sides, given, strict=True):
            side.fill(rows, planned.bands[0])
        for number in range(len(planned.bands)):
            band = _Band(planned, number, cut, (sides[0], sides[-1]), workers, reader, progress)
            for pairs in gathered(band.pairs(), cut.batch):
                if right is None:
                    yield pairs.ascending()
                else:
                    yield pairs.turned() if turned else pairs


@dataclass(frozen=True)
class _Band:
    """One band of a join. The two sides are the same one in a self-join."""

    plan: BandPlan
    number: int
    cut: Layout
    sides: tuple[_Side, _Side]
    workers: Workers
    reader: ThreadPoolExecutor
    progress: Progress

    def pairs(self) -> Iterator[HammingPairs]:
        bands, (left, right) = self.plan.bands, self.sides
        band, following = bands[self.number], next(iter(bands[self.number + 1 :]), None)
        pieces, own = left.turn(band, following), left is right
        others = pieces if own else right.turn(band, following)
        groups = list(_groups(pieces, self.cut.kept))
        ends = np.cumsum([len(group) for group in groups]).tolist()
        passing = [_near(others[end * own :], group, band.reach) for group, end in zip(groups, ends, strict=True)]
        reads = [
            partial(side.read, piece)
            for group, others_past in zip(groups, passing, strict=True)
            for side, some in ((left, group), (right, others_past))
            for piece in some
        ]
        read, done = _ahead(self.reader, reads), 0
        for group, others_past in zip(groups, passing, strict=True):
            kept: list[tuple[DiskPiece, SortedSet]] = []
            for piece in group:
                kept.append((piece, left.take(piece, *next(read))))
                yield from self._compared(kept, kept[-1]) if own else ()
                self.progress((self.number + (done := done + 1) / len(reads)) / len(bands))
            for piece in others_past:
                yield from self._compared(kept, (piece, right.take(piece, *next(read))))
                self.progress((self.number + (done := done + 1) / len(reads)) / len(bands))
        for side, some in ((left, pieces), (right, others)):
            for piece in side.unwritten(some):
                side.write(piece, *side.read(piece))

    def _compared(
        self, kept: list[tuple[DiskPiece, SortedSet]], new: tuple[DiskPiece, SortedSet]
    ) -> Iterator[HammingPairs]:
        """Compare a piece with those that are kept; if it is one of them, also with itself."""
        band, rule, work = self.plan.bands[self.number], band_rule(self.plan, self.number), list[Work]()
        low = _low(band, self.cut.high)
        for piece, hashes in kept:
            left_over = band.reach - (piece.part ^ new[0].part).bit_count()
            if left_over >= 0:
                masks = HashBand(low.start, low.width, left_over).masks
                how = rule._replace(masks=masks, symmetric=hashes is new[1])
                work += comparisons(hashes, new[1], how, self.cut.batch, _UNITS)
        yield from self.workers.in_order(work, 2 * self.workers.count)


def _low(band: HashBand, high: int) -> HashBand:
    """Return what is left of a band without the bits that number the parts."""
    return HashBand(band.start, band.width - high, band.reach)


def _groups(pieces: list[DiskPiece], most: int) -> Iterator[list[DiskPiece]]:
    """Yield pieces in groups of at most so many hashes, one piece at least."""
    group, count = list[DiskPiece](), 0
    for piece in pieces:
        if group and count + piece.count > most:
            yield group
            group, count = [], 0
        group.append(piece)
        count += piece.count
    if group:
        yield group


def _near(pieces: list[DiskPiece], group: list[DiskPiece], reach: int) -> list[DiskPiece]:
    """Return the pieces of which a part is within reach of one of a group."""
    parts = np.unique([piece.part for piece in group])
    return [piece for piece in pieces if (np.bitwise_count(parts ^ piece.part) <= reach).any()]


def _ahead[Result](pool: ThreadPoolExecutor, calls: Iterable[Callable[[], Result]]) -> Iterator[Result]:
    """Yield the results of calls, while the next one runs."""
    waiting: Future[Result] | None = None
    for call in calls:
        following = pool.submit(call)
        if waiting is not None:
            yield waiting.result()
        waiting = following
    if waiting is not None:
        yield waiting.result()
