"""The usable training pictures as arrays: the input of the joins, the clusters and the search.

What belongs here: the arrays, and grouping equal pictures. What does not: near pictures (`duplicates/pairs.py`),
decoding (`pictures/`).
"""

from collections.abc import Iterable
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.fingerprints.fingerprint import OK
from transforms.hashing.digest_arrays import BYTES, PickedDigests
from transforms.hashing.digest_arrays import rows as rows_of
from transforms.hashing.digest_tables import count_leaders, firsts, leaders, require_few
from transforms.storage.scratch import ScratchFile

COLUMNS = ("sample_id", "status", "sha256", "pixel_sha256", "pdq", "width", "height")
Positions = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]

_FILES = {  # what `_arrays` returns: one number or digest a row
    "ids": (np.uint64, ()),
    "comparable": (np.bool_, ()),
    "rank": (np.int64, ()),
    "pdq": (np.uint8, (BYTES,)),
    "files": (np.uint8, (BYTES,)),
    "pixels": (np.uint8, (BYTES,)),
}
_HELD = 22  # bytes a row that the arrays in memory take if all pictures differ
_SORTED = 24  # bytes a row while ids are sorted
_GROUPED = 16  # bytes a row at most, while equal ones are grouped
_LEAST = 64_000_000  # bytes of so many rows are no matter
_CHUNK = 1 << 18  # rows
_RECALLED = 1 << 62  # is added to their rank: no picture has so many pixels


class Pictures:
    """The usable training pictures in order of sample id; an index names one.

    Memory: 22 bytes a row if all differ, and 34 while the arrays are made. Another 72 a row lie in files without a name
    and are mapped: `pdq`, `rank` and `pixel_digests`. Where half of the memory would not hold the arrays, all are.

    Attributes:
        ids: Sample ids, uint64 (n,).
        pdq: PDQ hashes, uint8 (n, 32).
        comparable: Whether the PDQ hash is meaningful, bool (n,).
        rank: int64 (n,). The lower represents the higher, of equal ones the first: those that are not recalled come
            first, then larger ones.
        live: Whether the row is not recalled, bool (n,).
        bytes_group: Index of the first picture with equal bytes, uint32 (n,).
        pixels_group: Index of the first picture with equal pixels, uint32 (n,).
        distinct: Indices of the first picture of each group of equal pixels, uint32. Only these are embedded and
            compared.
        pixel_digests: SHA-256 of their pixels.
    """

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        rows: int,
        folder: Path,
        memory: int,
        recalled: npt.NDArray[np.uint64] | None = None,
    ) -> None:
        """Sort the pictures and group equal ones.

        Args:
            batches: The columns `COLUMNS` without failed rows, in any order.
            rows: How many rows the batches have, or more.
            folder: On a disk with room for 145 bytes a row, where files without a name are made: 113, and the largest
                of them twice while they are sorted.
            memory: Bytes that may be held.
            recalled: Sample ids of rows that were withdrawn.

        Raises:
            OSError: If the disk has too little room.
            ValueError: If there are more rows than 32 bits number.
        """
        self._folder, self._memory = folder, memory
        self._hashed: tuple[PickedDigests, Positions, Positions] | None = None
        with ExitStack() as opened:
            files = {
                name: opened.enter_context(closing(ScratchFile(folder, rows, *kind))) for name, kind in _FILES.items()
            }
            count = 0
            for batch in batches:
                for file, values in zip(files.values(), _arrays(batch), strict=True):
                    file.write(values, count)
                count += len(batch)
            for file in files.values():
                file.trim(count)
            require_few(files["files"])  # before anything numbers the rows
            self._spills = _HELD * count > memory // 2
            if (order := _order(files["ids"].mapped(), memory // 2)) is not None:
                files = {name: opened.enter_context(closing(_ordered(file, order))) for name, file in files.items()}
                del order
            self.ids: npt.NDArray[np.uint64] = self._loaded(files["ids"])
            self.comparable: npt.NDArray[np.bool_] = self._loaded(files["comparable"])
            self.live: npt.NDArray[np.bool_] = self._made(count, np.bool_)
            self.live[:] = True
            if recalled is not None and count:
                withdrawn = np.searchsorted(self.ids, recalled).clip(max=count - 1)
                self.live[withdrawn[self.ids[withdrawn] == recalled]] = False
            self.rank: Positions = _rank(files["rank"], self.live)
            self.pdq: npt.NDArray[np.uint8] = files["pdq"].mapped()
            self.bytes_group = self._grouped(files["files"])
            self.pixels_group = self._grouped(files["pixels"])
            self.distinct: Numbers = leaders(self.pixels_group, self._made(count_leaders(self.pixels_group), np.uint32))
            self.pixel_digests = PickedDigests(files["pixels"].mapped(), self.distinct)

    def __len__(self) -> int:
        return len(self.ids)

    def pixel_digest(self, position: int) -> npt.NDArray[np.uint8]:
        """Return the SHA-256 of a picture's pixels, uint8 of shape (32,)."""
        return self.pixel_digests.values[position]

    def hashed(self) -> tuple[PickedDigests, Positions, Positions]:
        """Group the distinct pictures by their PDQ hash, without meaningless hashes. Memory: 32 bytes a picture.

        Where memory holds the arrays, 4 bytes a picture stay for the next step that asks.

        Returns:
            The different hashes, picked from `pdq` at the index of the first picture with each; and of each further
            picture with one of these hashes, in order, the index of the first one and its own.
        """
        if self._hashed is None:
            hashed = self._by_hash()
            if self._spills:
                return hashed
            self._hashed = hashed
        return self._hashed

    def _by_hash(self) -> tuple[PickedDigests, Positions, Positions]:
        rows = self.distinct[self.comparable[self.distinct]]
        group = firsts(PickedDigests(self.pdq, rows), self._for_grouping(len(rows)))
        further = np.flatnonzero(group != np.arange(len(group), dtype=np.uint32))
        first, each = rows[group[further]].astype(np.int64), rows[further].astype(np.int64)
        heads = leaders(group, np.empty(count_leaders(group), np.uint32))
        return PickedDigests(self.pdq, rows[heads]), first, each

    def bits(self, a: Positions, b: Positions) -> npt.NDArray[np.int64]:
        """Return the PDQ distances of pairs of pictures, in bits.

        Args:
            a: Indices of the first pictures.
            b: Indices of the second ones.
        """
        return np.bitwise_count(self.pdq[a] ^ self.pdq[b]).sum(axis=-1, dtype=np.int64)

    def _for_grouping(self, count: int) -> int:
        return min(self._memory // 2, max(_LEAST, _GROUPED * count))

    def _made(self, count: int, kind: npt.DTypeLike) -> np.ndarray:
        """Return an array to fill, in memory or in a file."""
        if not self._spills:
            return np.empty(count, kind)
        with closing(ScratchFile(self._folder, count, kind)) as file:
            return file.mapped(writable=True)

    def _loaded(self, file: ScratchFile) -> np.ndarray:
        return file.mapped() if self._spills else file[:]

    def _grouped(self, digests: ScratchFile) -> Numbers:
        return firsts(digests, self._for_grouping(len(digests)), self._made(len(digests), np.uint32))


def _arrays(batch: pa.RecordBatch) -> tuple[np.ndarray, ...]:
    ids, status, files, pixels, pdq, width, height = (batch.column(name) for name in COLUMNS)
    return (
        ids.to_numpy(),
        np.asarray(status.to_numpy(zero_copy_only=False) == OK, np.bool_),
        -width.to_numpy().astype(np.int64) * height.to_numpy(),
        *map(rows_of, (pdq, files, pixels)),
    )


def _order(ids: npt.NDArray[np.uint64], memory: int) -> Numbers | None:
    """Return the rows in order of their ids; None if they are in order. Memory: 4 bytes a row besides."""
    starts, count = range(0, len(ids), _CHUNK), len(ids)
    if all((ids[start:][:_CHUNK][: count - start - 1] < ids[start + 1 :][:_CHUNK]).all() for start in starts):
        return None
    parts = -(-_SORTED * count // max(1, memory))
    some = np.sort(ids[:: max(1, count // (_CHUNK * parts))])
    bounds = [0, *sorted({int(some[len(some) * part // parts]) for part in range(1, parts)} - {0}), 2**64]
    order, done = np.empty(count, np.uint32), 0
    for low, high in pairwise(bounds):
        rows = np.concatenate([_within(ids[start : start + _CHUNK], low, high) + np.uint32(start) for start in starts])
        order[done : done + len(rows)] = rows[np.argsort(ids[rows], kind="stable")]
        done += len(rows)
    return order


def _within(ids: npt.NDArray[np.uint64], low: int, high: int) -> Numbers:
    """Return the indices of ids from `low` on below `high`."""
    return np.flatnonzero((ids >= np.uint64(low)) & (ids <= np.uint64(high - 1))).astype(np.uint32)


def _ordered(file: ScratchFile, order: Numbers) -> ScratchFile:
    """Return a file's rows in another order, and close it."""
    with closing(file):
        rows, ordered = file.mapped(), file.like()
        for start in range(0, len(order), _CHUNK):
            ordered.write(rows[order[start : start + _CHUNK]], start)
    return ordered


def _rank(file: ScratchFile, live: npt.NDArray[np.bool_]) -> Positions:
    """Move recalled rows behind the others in a file of ranks, and return the ranks."""
    for start in range(0, len(live), _CHUNK):
        part = live[start : start + _CHUNK]
        if not part.all():
            file.write(file[start : start + len(part)] + np.where(part, 0, _RECALLED), start)
    return file.mapped()
