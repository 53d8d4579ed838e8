"""The different training pictures as arrays: what generations are searched against.

What belongs here: one entry for each picture, however many rows show it. What does not: the rows
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
    """The different training pictures, in the order of the SHA-256 of their pixels. Their index is their place there.

    Attributes:
        ids: uint64 (n,), the lowest sample id that shows the picture.
        digests: uint8 (n, 32), ascending.
        head: int64 (n,), the index of the representative of the picture's cluster; its own where it is alone.
        comparable: bool (n,), whether its PDQ hash is of use.
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
        """Return the `count` heads of the smallest digests.

        The sample is as good as drawn at random, and stable: of n pictures and m new ones, about count · m / (n + m)
        of it change, and those that leave never come back with growth.
        """
        return self.heads[:count]

    def hex_digest(self, index: int) -> str:
        """Return the SHA-256 of a picture's pixels as text."""
        return self.digests[index].tobytes().hex()
