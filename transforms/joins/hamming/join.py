"""Exact Hamming joins over perceptual hashes.

What belongs here: finding every pair of 256-bit hashes within a radius, in tasks that are independent of each other.
What does not: which bands are looked up and why they miss nothing (`joins/hamming/plan.py`), the loops
(`joins/hamming/kernels.py`), threads (`joins/hamming/workers.py`), computing hashes (`hashing/hashes.py`), deciding
that a pair shows the same picture (`duplicates/pairs.py`).

A pair is reported in the first band in which it matches, hence once. Memory: 72 bytes a hash besides the hashes, and a
few batches of pairs.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.joins.hamming import kernels as kernels
from transforms.joins.hamming.plan import BITS, BandPlan, HashBand, plan
from transforms.joins.hamming.sieve import band_bits, choose
from transforms.joins.hamming.workers import Workers

BATCH = 1_000_000
_UNITS = 1024  # pieces of work a band is cut into, at most


@dataclass(frozen=True)
class HammingPairs:
    """Pairs of indices into the joined array, `left < right`, or into the two arrays of a cross join.

    Attributes:
        left: int64 of shape (p,).
        right: int64 of shape (p,).
        distance: uint8 of shape (p,), differing bits.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    distance: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True)
class BandTask:
    """A part of a join: one band of the plan, and every `parts`-th piece of its work."""

    plan: BandPlan
    band: int
    part: int
    parts: int


def tasks(left: int, right: int | None, radius: int, parts: int = 1) -> tuple[BandTask, ...]:
    """Return the tasks of a join. Together they yield its pairs, each once, in any order and wherever they run.

    Args:
        left: How many hashes are joined.
        right: With how many others; None for a self-join.
        radius: Most differing bits of a pair.
        parts: Tasks that share a band; each sorts the hashes by that band.

    Raises:
        ValueError: If the radius is not from 0 to 255 bits.
    """
    planned = plan(left, right, radius)
    return tuple(BandTask(planned, band, part, parts) for band in range(len(planned.bands)) for part in range(parts))


def run(
    task: BandTask,
    left: npt.NDArray[np.uint8],
    right: npt.NDArray[np.uint8] | None = None,
    batch: int = BATCH,
    threads: int | None = None,
) -> Iterator[HammingPairs]:
    """Yield the pairs of one task. The batches and their order are the same wherever and however often it runs.

    Args:
        task: The task.
        left: uint8 of shape (n, 32), all left hashes.
        right: uint8 of shape (m, 32), all right hashes; None for a self-join.
        batch: Most pairs yielded at once, at least 16.
        threads: None for all cores.
    """
    yield from _run((task,), left, right, batch, threads)


def self_join(hashes: npt.NDArray[np.uint8], radius: int, batch: int = BATCH) -> Iterator[HammingPairs]:
    """Yield every pair of different rows within `radius` bits, once, `left < right`.

    Collapse equal hashes first (`hashing/grouping.py`): a picture that occurs a million times yields half a billion
    pairs otherwise.

    Args:
        hashes: uint8 of shape (n, 32), one row a hash.
        radius: Most differing bits of a pair.
        batch: Most pairs yielded at once, at least 16.

    Raises:
        ValueError: For another shape, a radius outside 0 to 255 bits, or a batch below 16.
    """
    _check(hashes)
    yield from _run(tasks(len(hashes), None, radius), hashes, None, batch, None)


def cross_join(
    left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8], radius: int, batch: int = BATCH
) -> Iterator[HammingPairs]:
    """Yield every (row of `left`, row of `right`) within `radius` bits, once.

    A few are compared with all, many are looked up by bands.

    Args:
        left: uint8 of shape (n, 32).
        right: uint8 of shape (m, 32).
        radius: Most differing bits of a pair.
        batch: Most pairs yielded at once, at least 16.

    Raises:
        ValueError: As `self_join`.
    """
    _check(left)
    _check(right)
    yield from _run(tasks(len(left), len(right), radius), left, right, batch, None)


def _check(hashes: npt.NDArray[np.uint8]) -> None:
    if hashes.ndim != 2 or hashes.shape[1] != BITS // 8 or hashes.dtype != np.uint8:
        raise ValueError(f"hashes must be uint8 of shape (n, 32), not {hashes.dtype} of {hashes.shape}")


def _run(
    tasks: tuple[BandTask, ...],
    left: npt.NDArray[np.uint8],
    right: npt.NDArray[np.uint8] | None,
    batch: int,
    threads: int | None,
) -> Iterator[HammingPairs]:
    if batch < kernels.LANES:
        raise ValueError(f"a batch must hold at least {kernels.LANES} pairs, not {batch}")
    if not len(left) or (right is not None and not len(right)):
        return
    # Looking up the fewer among the more costs less than the other way round.
    turned = right is not None and len(left) > len(right)
    with ThreadPoolExecutor(threads or nb.config.NUMBA_NUM_THREADS) as pool:
        workers = Workers(pool, threads or nb.config.NUMBA_NUM_THREADS)
        a = _Hashes(right if right is not None and turned else left, workers)
        b = a if right is None else _Hashes(left if turned else right, workers)
        for task in tasks:
            for pairs in _gathered(_join(task, a, b, batch, workers), batch):
                if right is None:
                    yield HammingPairs(
                        np.minimum(pairs.left, pairs.right), np.maximum(pairs.left, pairs.right), pairs.distance
                    )
                else:
                    yield HammingPairs(pairs.right, pairs.left, pairs.distance) if turned else pairs


@cache
def _tables() -> npt.NDArray[np.uint32]:
    return kernels.bit_tables()


class _Hashes:
    """Some hashes, and the same sorted by a band; each sorting replaces the one before."""

    def __init__(self, hashes: npt.NDArray[np.uint8], workers: Workers) -> None:
        n = len(hashes)
        self._share, self._total = workers.share, n
        self._rows = np.empty((n, kernels.WORDS // 2), np.uint64)
        tables, hashes = _tables().view(np.uint64), np.ascontiguousarray(hashes)
        self._share(lambda start, stop: kernels.arrange(hashes, tables, start, stop, self._rows), n)
        # The last rows are read with what follows them, and no two words of a row share a set of the cache.
        self._stride = -(-(n + kernels.LANES) // 1024) * 1024 + 144
        self._integer: type[np.integer] = np.int32 if n < 2**31 - 1 else np.int64
        self._values = np.empty(n, np.uint32)
        self.order: npt.NDArray[np.integer] = np.empty(n, self._integer)
        self._words = np.zeros(kernels.WORDS * self._stride, np.uint32)

    def sort(self, band: HashBand) -> kernels.SortedHashes:
        """Return the hashes sorted by a band; `order` has the index of each."""
        n, rows, values = self._total, self._rows.view(np.uint32), self._values
        starts = np.zeros(2**band.width + 1, self._integer)
        self._share(lambda start, stop: kernels.band_values(rows, band.start, band.width, start, stop, values), n)
        kernels.count(values, starts)
        self._share(lambda low, high: kernels.sort(values, starts, low, high, self.order), 2**band.width)
        flat, words, stride = self._rows.ravel(), self._words, self._stride
        self._share(lambda start, stop: kernels.gather(flat, self.order, start, stop, words, stride), n)
        return kernels.SortedHashes(words, stride, starts)


@dataclass(frozen=True)
class _Scan:
    """Hashes sorted by a band, ready to be compared. It stops after `room` pairs and can be called again."""

    sides: tuple[kernels.SortedHashes, kernels.SortedHashes]
    orders: tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]
    pieces: kernels.RowRuns
    rule: kernels.BandRule
    room: int

    def __call__(self, last: int, cursor: npt.NDArray[np.int64]) -> tuple[HammingPairs, Callable | None]:
        """Compare from the cursor on, until tile `last` is reached or the room is full.

        Returns:
            The pairs, and the call that goes on; None where nothing is left.
        """
        left, right = np.empty((2, self.room), np.int64)
        distance = np.empty(self.room, np.uint8)
        out = kernels.PairBuffer(left, right, distance)
        found = kernels.scan(*self.sides, self.pieces, (cursor[0], last), self.rule, cursor, out)
        pairs = HammingPairs(
            self.orders[0][left[:found]].astype(np.int64),
            self.orders[1][right[:found]].astype(np.int64),
            distance[:found].copy(),
        )
        return pairs, partial(self, last, cursor) if cursor[0] < last else None


def _join(task: BandTask, a: _Hashes, b: _Hashes, batch: int, workers: Workers) -> Iterator[HammingPairs]:
    band = task.plan.bands[task.band]
    left = a.sort(band)
    right = left if a is b else b.sort(band)
    pieces = kernels.RowRuns(*kernels.cut(left.starts))
    room = max(kernels.LANES, batch // 8)  # the same wherever it runs, as then are the batches
    scan = _Scan((left, right), (a.order, b.order), pieces, _rule(task, symmetric=a is b), room)
    tiles = len(pieces.first) - 1
    ends = np.linspace(0, tiles, min(_UNITS, tiles) + 1).astype(int).tolist()
    units = range(task.part, len(ends) - 1, task.parts)
    work = [partial(scan, ends[unit + 1], np.array([ends[unit], -1, -1, -1, -1])) for unit in units]
    yield from workers.in_order(work, 2 * workers.count)


def _rule(task: BandTask, *, symmetric: bool) -> kernels.BandRule:
    bands, bits, sieve = task.plan.bands, band_bits(task.plan), choose(task.plan, task.band)
    return kernels.BandRule(
        masks=bands[task.band].masks,
        earlier=bits[: task.band],
        reach=np.array([band.reach for band in bands[: task.band]], np.int64),
        radius=np.uint32(task.plan.radius),
        symmetric=symmetric,
        sieve=(*sieve.words, 0, 0, 0)[:3],
        sieved=len(sieve.words),
        bound=np.uint32(sieve.bound),
    )


def _gathered(parts: Iterator[HammingPairs], batch: int) -> Iterator[HammingPairs]:
    """Yield the pairs of many small parts, at most `batch` at once."""
    held: list[HammingPairs] = []
    total = 0
    for part in parts:
        if total + len(part) > batch:
            yield _one(held)
            held, total = [], 0
        if len(part):
            held.append(part)
            total += len(part)
    if held:
        yield _one(held)


def _one(parts: list[HammingPairs]) -> HammingPairs:
    return HammingPairs(
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.distance for part in parts]),
    )
