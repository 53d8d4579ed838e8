"""The exact Hamming join within the memory that the caller allows.

What belongs here: whether hashes are joined in memory, against memory chunk by chunk, or on disk. What does not: those
joins (`joins/hamming/join.py`, `joins/hamming/disk_join.py`). Each of them finds the same pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from transforms.joins.hamming import disk_join, join
from transforms.joins.hamming.comparisons import HammingPairs
from transforms.joins.hamming.disk_join import HashRows
from transforms.joins.hamming.plan import plan
from transforms.joins.progress import Progress

_DISK_S = 2e-7  # seconds that a hash takes to be written, read and sorted for one band on a disk


class JoinWay(StrEnum):
    """Where hashes are while they are joined."""

    MEMORY = "memory"
    CHUNKS = "chunks"
    DISK = "disk"


@dataclass(frozen=True)
class JoinChoice:
    """How hashes are joined.

    Attributes:
        way: Where they are meanwhile. `CHUNKS`: the fewer in memory, the others chunk by chunk.
        chunk: Hashes of a chunk.
        disk: Bytes that the join takes on disk.
    """

    way: JoinWay
    chunk: int = 0
    disk: int = 0


def choose(left: int, right: int | None, radius: int, memory: int) -> JoinChoice:
    """Return how hashes are joined.

    Args:
        left: How many hashes are joined.
        right: With how many others; None for a self-join.
        radius: Most differing bits of a pair.
        memory: Bytes that a join may hold, besides what the caller holds.
    """
    total = left + (right or 0)
    if join.HELD * total <= memory:
        return JoinChoice(JoinWay.MEMORY)
    on_disk = JoinChoice(JoinWay.DISK, 0, disk_join.scratch_bytes(left, right))
    if right is None:
        return on_disk
    few, many = sorted((left, right))
    chunk = memory // join.HELD - few
    if chunk < few:
        return on_disk
    by_chunk = -(-many // chunk) * plan(few, chunk, radius).seconds
    by_disk = plan(few, many, radius)
    if by_chunk < by_disk.seconds + len(by_disk.bands) * total * _DISK_S:
        return JoinChoice(JoinWay.CHUNKS, chunk)
    return on_disk


def pairs_within(
    left: HashRows, right: HashRows | None, radius: int, memory: int, folder: Path, progress: Progress
) -> Iterator[HammingPairs]:
    """Yield every pair of different rows within `radius` bits, once: of one set `left < right`, or of two.

    Args:
        left: The hashes.
        right: Others; None for a self-join.
        radius: Most differing bits of a pair.
        memory: Bytes that may be held, besides what `left` and `right` hold.
        folder: Where a join on disk has its files, which have no name and go with the process.
        progress: Is told the share of the work that is done.

    Raises:
        OSError: If the disk has less room than `choose` says.
        ValueError: If these are no hashes, or the radius is not from 0 to 255.
    """
    chosen = choose(len(left), None if right is None else len(right), radius, memory)
    if chosen.way is JoinWay.DISK:
        yield from disk_join.join(left, right, radius, memory, folder, progress)
    elif right is None:
        yield from join.self_join(_array(left), radius, progress=progress)
    elif chosen.way is JoinWay.MEMORY:
        yield from join.cross_join(_array(left), _array(right), radius, progress=progress)
    else:
        yield from _by_chunk(left, right, radius, chosen.chunk, progress)


def _by_chunk(left: HashRows, right: HashRows, radius: int, chunk: int, progress: Progress) -> Iterator[HammingPairs]:
    turned = len(left) > len(right)
    few, many = (_array(right), left) if turned else (_array(left), right)
    for start in range(0, len(many), chunk):
        for pairs in join.cross_join(few, many[start : start + chunk], radius):
            moved = HammingPairs(pairs.left, pairs.right + start, pairs.distance)
            yield moved.turned() if turned else moved
        progress(min(1.0, (start + chunk) / len(many)))


def _array(hashes: HashRows) -> np.ndarray:
    return hashes if isinstance(hashes, np.ndarray) else hashes[: len(hashes)]
