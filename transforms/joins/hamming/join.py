"""Exact Hamming joins over perceptual hashes.

What belongs here: finding every pair of 256-bit hashes within a radius, in tasks that are independent of each other.
What does not: which bands are looked up and why they miss nothing (`joins/hamming/plan.py`), comparing
(`joins/hamming/comparisons.py`), hashes that memory does not hold (`joins/hamming/disk_join.py`), computing hashes
(`hashing/hashes.py`), deciding that a pair shows the same picture (`duplicates/pairs.py`).

A pair is reported in the first band in which it matches, hence once. Memory: 72 bytes a hash besides the hashes, and a
few batches of pairs.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.joins.hamming import kernels
from transforms.joins.hamming.comparisons import HammingPairs as HammingPairs
from transforms.joins.hamming.comparisons import HashSet, arrange, band_rule, comparisons, gathered
from transforms.joins.hamming.plan import BITS, BandPlan, plan
from transforms.joins.hamming.workers import Workers
from transforms.joins.progress import Progress, untold

BATCH = 1_000_000
HELD = 104
"""Bytes a hash while it is joined in memory, the copy of one that is picked from others included."""
_LEAST = 1 << 17  # hashes joined at once, however little memory there is


def at_once(memory: int) -> int:
    """Return how many hashes may be joined at once within a number of bytes; never so few that joins take most time."""
    return max(_LEAST, memory // HELD)


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


def self_join(
    hashes: npt.NDArray[np.uint8], radius: int, batch: int = BATCH, progress: Progress = untold
) -> Iterator[HammingPairs]:
    """Yield every pair of different rows within `radius` bits, once, `left < right`.

    Collapse equal hashes first (`hashing/digest_tables.py`): a picture that occurs a million times yields half a
    billion pairs otherwise.

    Args:
        hashes: uint8 of shape (n, 32), one row a hash.
        radius: Most differing bits of a pair.
        batch: Most pairs yielded at once, at least 16.
        progress: Is told the share of the bands that are done.

    Raises:
        ValueError: For another shape, a radius outside 0 to 255 bits, or a batch below 16.
    """
    check(hashes)
    yield from _run(tasks(len(hashes), None, radius), hashes, None, batch, None, progress)


def cross_join(
    left: npt.NDArray[np.uint8],
    right: npt.NDArray[np.uint8],
    radius: int,
    batch: int = BATCH,
    progress: Progress = untold,
) -> Iterator[HammingPairs]:
    """Yield every (row of `left`, row of `right`) within `radius` bits, once.

    A few are compared with all, many are looked up by bands.

    Args:
        left: uint8 of shape (n, 32).
        right: uint8 of shape (m, 32).
        radius: Most differing bits of a pair.
        batch: Most pairs yielded at once, at least 16.
        progress: As for `self_join`.

    Raises:
        ValueError: As `self_join`.
    """
    check(left)
    check(right)
    yield from _run(tasks(len(left), len(right), radius), left, right, batch, None, progress)


def check(hashes: npt.NDArray[np.uint8]) -> None:
    """Raise ValueError for anything but uint8 of shape (n, 32)."""
    if hashes.ndim != 2 or hashes.shape[1] != BITS // 8 or hashes.dtype != np.uint8:
        raise ValueError(f"hashes must be uint8 of shape (n, 32), not {hashes.dtype} of {hashes.shape}")


def _run(
    tasks: tuple[BandTask, ...],
    left: npt.NDArray[np.uint8],
    right: npt.NDArray[np.uint8] | None,
    batch: int,
    threads: int | None,
    progress: Progress = untold,
) -> Iterator[HammingPairs]:
    if batch < kernels.LANES:
        raise ValueError(f"a batch must hold at least {kernels.LANES} pairs, not {batch}")
    if not len(left) or (right is not None and not len(right)):
        return
    # Looking up the fewer among the more costs less than the other way round.
    turned = right is not None and len(left) > len(right)
    with ThreadPoolExecutor(threads or nb.config.NUMBA_NUM_THREADS) as pool:
        workers = Workers(pool, threads or nb.config.NUMBA_NUM_THREADS)
        a = HashSet(arrange(right if right is not None and turned else left, workers), workers)
        b = a if right is None else HashSet(arrange(left if turned else right, workers), workers)
        for number, task in enumerate(tasks, 1):
            for pairs in gathered(_join(task, a, b, batch, workers), batch):
                if right is None:
                    yield pairs.ascending()
                else:
                    yield pairs.turned() if turned else pairs
            progress(number / len(tasks))


def _join(task: BandTask, a: HashSet, b: HashSet, batch: int, workers: Workers) -> Iterator[HammingPairs]:
    band = task.plan.bands[task.band]
    left = a.sort(band)
    right = left if a is b else b.sort(band)
    rule = band_rule(task.plan, task.band)._replace(symmetric=a is b)
    # The same pieces of work wherever it runs, as then are the batches.
    yield from workers.in_order(comparisons(left, right, rule, batch)[task.part :: task.parts], 2 * workers.count)
