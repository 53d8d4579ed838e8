"""The different training pictures as arrays, among which generations are searched.

What belongs here: one entry for each picture, which several rows may show. What does not: the rows
(`fingerprints/picture_set.py`), reading either (`orchestration/fingerprints/`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transforms.hashing.digest_arrays import Rows

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DistinctPictures:
    """The different training pictures, in the order of the SHA-256 of their pixels. The index is by this order.

    Attributes:
        ids: uint64 (n,), the lowest sample id that shows the picture.
        digests: uint8 (n, 32), ascending.
        head: int64 (n,), the index of the representative of the picture's cluster; its own if it is alone.
        comparable: bool (n,), whether its PDQ hash is meaningful.
        pdq: uint8 (n, 32).
    """

    ids: npt.NDArray[np.uint64]
    digests: Rows
    head: Indices
    comparable: npt.NDArray[np.bool_]
    pdq: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def heads(self) -> Indices:
        """The representatives and the pictures that are alone, ascending."""
        return np.unique(self.head)

    def sample(self, count: int) -> Indices:
        """Return the `count` heads with the smallest digests.

        The sample is equivalent to a random one, and stable: after adding m pictures to n, about count · m / (n + m) of
        it change, and a picture that leaves does not return as the set grows.
        """
        return self.heads[:count]

    def hex_digest(self, index: int) -> str:
        """Return the SHA-256 of a picture's pixels as text."""
        return self.digests[index].tobytes().hex()
