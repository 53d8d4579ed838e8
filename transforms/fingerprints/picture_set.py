"""The usable training pictures as arrays: the input of the joins, the clusters and the search.

What belongs here: the arrays, and grouping equal pictures. What does not: near pictures (`duplicates/pairs.py`),
decoding (`pictures/`).
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.fingerprints.fingerprint import OK
from transforms.hashing import grouping
from transforms.hashing.digest_arrays import BYTES, of_hex

COLUMNS = ("sample_id", "status", "sha256", "pixel_sha256", "pdq", "width", "height")
Positions = npt.NDArray[np.int64]


class Pictures:
    """The usable training pictures in order of sample id; an index names one.

    Memory: 106 bytes a row if all differ, about 150 while the arrays are made.

    Attributes:
        ids: Sample ids, uint64 (n,).
        pdq: PDQ hashes, uint8 (n, 32).
        comparable: Whether the PDQ hash is meaningful, bool (n,).
        area: Pixels, int64 (n,).
        live: Whether the row is not recalled, bool (n,).
        bytes_group: Index of the first picture with equal bytes, int64 (n,).
        pixels_group: Index of the first picture with equal pixels, int64 (n,).
        distinct: Indices of the first picture of each group of equal pixels. Only these are embedded and compared.
        pixel_digests: SHA-256 of their pixels, uint8 (len(distinct), 32).
    """

    def __init__(
        self, batches: Iterable[pa.RecordBatch], rows: int, recalled: npt.NDArray[np.uint64] | None = None
    ) -> None:
        """Sort the pictures and group equal ones.

        Args:
            batches: The columns `COLUMNS` without failed rows, in any order.
            rows: How many rows the batches have, or more.
            recalled: Sample ids of rows that were withdrawn.
        """
        # filled in place: small arrays, made and freed one after the other, leave holes that stay with the process
        columns: list[np.ndarray] = [np.empty((rows, *shape), kind) for shape, kind in _ARRAYS]
        count = 0
        for batch in batches:
            for column, values in zip(columns, _arrays(batch), strict=True):
                column[count : count + len(batch)] = values
            count += len(batch)
        order = np.argsort(columns[0][:count], kind="stable")

        def ordered() -> np.ndarray:  # one column after the other, so that two are never held twice
            return columns.pop(0)[:count][order]

        self.ids: npt.NDArray[np.uint64] = ordered()
        self.comparable: npt.NDArray[np.bool_] = ordered()
        self.area: Positions = ordered()
        self.pdq: npt.NDArray[np.uint8] = ordered()
        self.live: npt.NDArray[np.bool_] = ~np.isin(self.ids, recalled if recalled is not None else [])
        self.bytes_group = _firsts(ordered())
        pixels = ordered()
        self.pixels_group = _firsts(pixels)
        self.distinct: Positions = np.flatnonzero(self.pixels_group == np.arange(len(self)))
        self.pixel_digests: npt.NDArray[np.uint8] = pixels[self.distinct]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rank(self) -> Positions:
        """The order in which pictures represent others: first those not recalled, then by area, then by id."""
        rank = np.empty(len(self), np.int64)
        rank[np.lexsort((self.ids, -self.area, ~self.live))] = np.arange(len(self))
        return rank

    def pixel_digest(self, position: int) -> npt.NDArray[np.uint8]:
        """Return the SHA-256 of a picture's pixels, uint8 of shape (32,)."""
        return self.pixel_digests[np.searchsorted(self.distinct, self.pixels_group[position])]

    def hashed(self) -> tuple[npt.NDArray[np.uint8], Positions, Positions, Positions]:
        """Group the distinct pictures by their PDQ hash, without meaningless hashes.

        Returns:
            The different hashes, uint8 (h, 32); the index of the first picture with each, int64 (h,); the indices of
            all distinct pictures that have a hash; and for each of these the index of its hash.
        """
        rows = self.distinct[self.comparable[self.distinct]]
        groups = grouping.collapse(np.ascontiguousarray(self.pdq[rows]))
        return self.pdq[rows[groups.first]], rows[groups.first], rows, groups.group.astype(np.int64)

    def bits(self, a: Positions, b: Positions) -> npt.NDArray[np.int64]:
        """Return the PDQ distances of pairs of pictures, in bits.

        Args:
            a: Indices of the first pictures.
            b: Indices of the second ones.
        """
        return np.bitwise_count(self.pdq[a] ^ self.pdq[b]).sum(axis=-1, dtype=np.int64)


_ARRAYS = (((), np.uint64), ((), np.bool_), ((), np.int64), *[((BYTES,), np.uint8)] * 3)  # what `_arrays` returns


def _arrays(batch: pa.RecordBatch) -> tuple[np.ndarray, ...]:
    ids, status, files, pixels, pdq, width, height = (batch.column(name) for name in COLUMNS)
    return (
        ids.to_numpy(),
        np.asarray(status.to_numpy(zero_copy_only=False) == OK, np.bool_),
        width.to_numpy().astype(np.int64) * height.to_numpy(),
        *map(of_hex, (pdq, files, pixels)),
    )


def _firsts(digests: npt.NDArray[np.uint8]) -> Positions:
    """Return for each picture the index of the first one with an equal digest."""
    groups = grouping.collapse(np.ascontiguousarray(digests))
    return groups.first[groups.group]
