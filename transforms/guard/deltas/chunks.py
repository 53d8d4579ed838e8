"""Cutting files where their content says, so that equal stretches are cut alike wherever they lie.

What belongs here: the cuts, and what of a file another one has. What does not: files of deltas
(`guard/deltas/delta.py`).

Gear hashing (Xia et al., "Ddelta: A Deduplication-Inspired Fast Delta Compression Approach", 2014): a cut follows where
the hash of the last 64 bytes has its upper bits zero. A row that is put in moves all later cuts with what lies between.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from transforms.packages import COMPILED

if COMPILED:
    from transforms.guard.deltas.cut_kernels import ends
else:
    from transforms.uncompiled.cuts import ends

_LEAST, _MOST, _BITS = 128, 8_192, 9  # bytes of a piece, and upper bits that are zero: some 640 on average
_GEAR = np.random.default_rng(64).integers(0, 2**64, 256, np.uint64)

type Bytes = npt.NDArray[np.uint8]
type Steps = npt.NDArray[np.int64]
"""What a file is made of, int64 (k, 2): where a stretch begins in the old file, -1 if it is new, and its bytes."""


def shared(old: Bytes, new: Bytes) -> Steps:
    """Return of what a file is made, given another one.

    Args:
        old: The other file, uint8 (n,).
        new: The file, uint8 (m,).
    """
    known: dict[bytes, int] = {}
    for start, stop in _pieces(old):
        known.setdefault(_digest(old[start:stop]), start)
    steps: list[list[int]] = []
    for start, stop in _pieces(new):
        place = known.get(_digest(new[start:stop]), -1)
        last = steps[-1] if steps else [-2, 0]
        if last[0] == place == -1 or (place >= 0 and last[0] >= 0 and last[0] + last[1] == place):
            last[1] += stop - start
        else:
            steps.append([place, stop - start])
    return np.array(steps, np.int64).reshape(-1, 2)


def _pieces(data: Bytes) -> Iterator[tuple[int, int]]:
    """Yield where the pieces of a file begin and end."""
    found = ends(data, _GEAR, _LEAST, _MOST, _BITS).tolist()
    return zip([0, *found[:-1]], found, strict=False)


def _digest(piece: Bytes) -> bytes:
    return hashlib.blake2b(piece.data, digest_size=16).digest()
