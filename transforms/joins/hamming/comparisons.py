"""Sorting hashes by a band, and comparing two sets of sorted ones with each other.

What belongs here: the arrays that the loops work on, and pieces of work for threads. What does not: the loops
(`joins/hamming/kernels.py`), which sets are compared (`joins/hamming/join.py`, `joins/hamming/disk_join.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from transforms.joins.hamming import kernels
from transforms.joins.hamming.plan import BandPlan, HashBand
from transforms.joins.hamming.sieve import band_bits, choose
from transforms.joins.hamming.workers import Workers

ROW = 32
"""Bytes of a hash."""
_UNITS = 1024

type Arranged = npt.NDArray[np.uint64]
"""Hashes whose bits are in the order of `kernels.bit_tables`: shape (n, 4)."""


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

    def ascending(self) -> "HammingPairs":
        """Return the same pairs with the lower index on the left."""
        return HammingPairs(np.minimum(self.left, self.right), np.maximum(self.left, self.right), self.distance)

    def turned(self) -> "HammingPairs":
        """Return the same pairs with left and right exchanged."""
        return HammingPairs(self.right, self.left, self.distance)


@dataclass(frozen=True)
class SortedSet:
    """Hashes sorted by a band, ready to be compared.

    Attributes:
        hashes: The hashes.
        order: The index of each.
        runs: The runs of equal values among them.
    """

    hashes: kernels.SortedHashes
    order: npt.NDArray[np.integer]
    runs: kernels.RowRuns


class HashSet:
    """Some hashes, and the same sorted by a band; each sorting replaces the one before."""

    def __init__(self, rows: Arranged, workers: Workers) -> None:
        """Make room to sort hashes, 40 bytes each.

        Args:
            rows: The hashes, as `arrange` returns them.
            workers: Threads that share the work.
        """
        n = len(rows)
        self._share, self._total, self._rows = workers.share, n, rows
        # The last rows are read with what follows them, and no two words of a row share a set of the cache.
        self._stride = -(-(n + kernels.LANES) // 1024) * 1024 + 144
        self._integer = integer(n)
        self._values = np.empty(n, np.uint32)
        self._order: npt.NDArray[np.integer] = np.empty(n, self._integer)
        self._words = np.zeros(kernels.WORDS * self._stride, np.uint32)

    def sort(self, band: HashBand, index: npt.NDArray[np.integer] | None = None) -> SortedSet:
        """Return the hashes sorted by a band.

        Args:
            band: The band.
            index: The index of each hash, if they are not numbered in order.
        """
        n, rows, values = self._total, self._rows.view(np.uint32), self._values
        starts = np.zeros(2**band.width + 1, self._integer)
        self._share(lambda start, stop: kernels.band_values(rows, band.start, band.width, start, stop, values), n)
        kernels.count(values, starts)
        self._share(lambda low, high: kernels.sort(values, starts, low, high, self._order), 2**band.width)
        flat, words, stride = self._rows.ravel(), self._words, self._stride
        self._share(lambda start, stop: kernels.gather(flat, self._order, start, stop, words, stride), n)
        order = self._order if index is None else index[self._order]
        return SortedSet(kernels.SortedHashes(words, stride, starts), order, kernels.RowRuns(*kernels.cut(starts)))


def integer(count: int) -> type[np.integer]:
    """Return the type of an index among so many hashes."""
    return np.int32 if count < 2**31 - 1 else np.int64


@cache
def _tables() -> npt.NDArray[np.uint32]:
    return kernels.bit_tables()


def arrange(hashes: npt.NDArray[np.uint8], workers: Workers) -> Arranged:
    """Return hashes, uint8 of shape (n, 32), with their bits in the order in which bands are cut.

    Args:
        hashes: The hashes.
        workers: Threads that share the work.
    """
    rows, tables = np.empty((len(hashes), kernels.WORDS // 2), np.uint64), _tables().view(np.uint64)
    hashes = np.ascontiguousarray(hashes)
    workers.share(lambda start, stop: kernels.arrange(hashes, tables, start, stop, rows), len(hashes))
    return rows


def band_rule(plan: BandPlan, band: int) -> kernels.BandRule:
    """Return what is compared in a band of a self-join, and what counts.

    Args:
        plan: The bands.
        band: Which of them.
    """
    bands, bits, sieve = plan.bands, band_bits(plan), choose(plan, band)
    first, second, third, *_ = *sieve.words, 0, 0, 0
    return kernels.BandRule(
        masks=bands[band].masks,
        earlier=bits[:band],
        reach=np.array([each.reach for each in bands[:band]], np.int64),
        radius=np.uint32(plan.radius),
        symmetric=True,
        sieve=(first, second, third),
        sieved=len(sieve.words),
        bound=np.uint32(sieve.bound),
    )


type Work = Callable[[], tuple[HammingPairs, "Work | None"]]
"""Compares a part of two sets: returns pairs, and what goes on where it stopped for want of room."""


@dataclass(frozen=True)
class _Scan:
    """Two sorted sets that are compared. It stops after `room` pairs and can be called again."""

    left: SortedSet
    right: SortedSet
    rule: kernels.BandRule
    room: int

    def __call__(self, last: int, cursor: npt.NDArray[np.int64]) -> tuple[HammingPairs, Work | None]:
        """Compare from the cursor on, until tile `last` is reached or the room is full.

        Returns:
            The pairs, and the call that goes on; None where nothing is left.
        """
        left, right = np.empty((2, self.room), np.int64)
        distance = np.empty(self.room, np.uint8)
        out = kernels.PairBuffer(left, right, distance)
        sides = self.left.hashes, self.right.hashes
        found = kernels.scan(*sides, self.left.runs, (cursor[0], last), self.rule, cursor, out)
        pairs = HammingPairs(
            self.left.order[left[:found]].astype(np.int64),
            self.right.order[right[:found]].astype(np.int64),
            distance[:found].copy(),
        )
        return pairs, partial(self, last, cursor) if cursor[0] < last else None


def comparisons(
    left: SortedSet, right: SortedSet, rule: kernels.BandRule, batch: int, units: int = _UNITS
) -> list[Work]:
    """Return the pieces of work that compare two sorted sets.

    Args:
        left: A set.
        right: Another, or the same.
        rule: What is compared; `symmetric` where the sets are one.
        batch: Most pairs that are yielded at once in the end. A piece of work stops after an eighth of them.
        units: Most pieces of work.
    """
    scan = _Scan(left, right, rule, max(kernels.LANES, batch // 8))
    tiles = len(left.runs.first) - 1
    ends = np.linspace(0, tiles, min(units, tiles) + 1).astype(int).tolist()
    return [partial(scan, stop, np.array([start, -1, -1, -1, -1])) for start, stop in pairwise(ends)]


def gathered(parts: Iterator[HammingPairs], batch: int) -> Iterator[HammingPairs]:
    """Yield the pairs of many small parts, at most `batch` at once.

    Args:
        parts: Pairs.
        batch: No fewer than a part holds.
    """
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
