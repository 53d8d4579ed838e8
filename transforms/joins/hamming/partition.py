"""Hashes on disk, cut into parts that agree in the high bits of a band.

What belongs here: writing hashes in parts, and reading a piece of a part. What does not: which pieces are compared
(`joins/hamming/disk_join.py`).

Their files have no name (`storage/scratch.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transforms.joins.hamming import kernels
from transforms.joins.hamming.comparisons import ROW, Arranged, integer
from transforms.joins.hamming.plan import HashBand
from transforms.joins.hamming.workers import Workers
from transforms.storage.scratch import ScratchFile

_WRITTEN = 65_536  # hashes written at once


@dataclass(frozen=True)
class DiskPiece:
    """Some hashes of one part.

    Attributes:
        part: The high bits of the band in which all of them agree.
        slices: Where they lie: place and count of each slice.
        count: How many they are.
    """

    part: int
    slices: tuple[tuple[int, int], ...]
    count: int


class HashPartition:
    """Hashes and their indices in parts; written in blocks, each of which lies on disk part by part."""

    def __init__(self, folder: Path, count: int) -> None:
        """Take the room on disk.

        Args:
            folder: Where the files are made.
            count: How many hashes there will be.

        Raises:
            OSError: If the disk has too little room.
        """
        self._integer = np.dtype(integer(count))
        self._rows = ScratchFile(folder, count, np.uint64, (ROW // 8,))
        try:
            self._index = ScratchFile(folder, count, self._integer)
        except OSError:
            self._rows.close()
            raise
        self._place, self._slices = 0, list[list[tuple[int, int]]]()

    def close(self) -> None:
        """Free the room on disk."""
        self._rows.close()
        self._index.close()

    def begin(self, band: HashBand, high: int) -> None:
        """Begin anew, with other parts.

        Args:
            band: The band that is cut.
            high: How many of its highest bits make the part.
        """
        self._cut = HashBand(band.start + band.width - high if high else 0, high, 0)
        self._place, self._slices = 0, [[] for _ in range(2**high)]

    def append(self, rows: Arranged, index: npt.NDArray[np.integer], workers: Workers) -> None:
        """Write a block of hashes, part by part.

        Args:
            rows: The hashes.
            index: The index of each.
            workers: Threads that share the work.
        """
        values, order = np.empty(len(rows), np.uint32), np.empty(len(rows), integer(len(rows)))
        starts = np.zeros(2**self._cut.width + 1, order.dtype)
        words, cut, place = rows.view(np.uint32), self._cut, self._place
        workers.share(lambda a, b: kernels.band_values(words, cut.start, cut.width, a, b, values), len(rows))
        kernels.count(values, starts)
        workers.share(lambda low, high: kernels.sort(values, starts, low, high, order), 2**cut.width)

        flat = rows.ravel()

        def write(start: int, stop: int) -> None:
            picked, numbers = np.empty(_WRITTEN * ROW // 8, np.uint64), np.empty(_WRITTEN, self._integer)
            for first in range(start, stop, _WRITTEN):
                some = order[first : min(stop, first + _WRITTEN)]
                kernels.pick(flat, index, some, picked, numbers)
                self._rows.write(picked[: len(some) * ROW // 8], place + first)
                self._index.write(numbers[: len(some)], place + first)

        workers.share(write, len(rows))
        for part, (start, stop) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)):
            if start < stop:
                self._slices[part].append((place + start, stop - start))
        self._place += len(rows)

    def pieces(self, most: int) -> list[DiskPiece]:
        """Return all hashes in pieces, ordered by part.

        Args:
            most: Hashes of a piece. A part of more, as many hashes that begin alike make, is cut into several.
        """
        return [piece for part, slices in enumerate(self._slices) for piece in _pieces(part, slices, most)]

    def read(self, piece: DiskPiece) -> tuple[Arranged, npt.NDArray[np.integer]]:
        """Return the hashes of a piece, and their indices."""
        rows, index = np.empty((piece.count, ROW // 8), np.uint64), np.empty(piece.count, self._integer)
        done = 0
        for place, count in piece.slices:
            self._rows.read(place, place + count, rows[done : done + count])
            self._index.read(place, place + count, index[done : done + count])
            done += count
        return rows, index


def disk_bytes(count: int) -> int:
    """Return how many bytes so many hashes take in a partition."""
    return count * (ROW + np.dtype(integer(count)).itemsize)


def _pieces(part: int, slices: list[tuple[int, int]], most: int) -> Iterator[DiskPiece]:
    held, room = list[tuple[int, int]](), most
    for start, length in slices:
        place, left = start, length
        while left:
            taken = min(left, room)
            held.append((place, taken))
            place, left, room = place + taken, left - taken, room - taken
            if not room:
                yield DiskPiece(part, tuple(held), most)
                held, room = [], most
    if held:
        yield DiskPiece(part, tuple(held), most - room)
