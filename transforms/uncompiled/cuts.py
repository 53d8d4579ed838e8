"""Cutting files where their content says, by NumPy: see `guard/deltas/cut_kernels.py`.

What belongs here: the loop. What does not: what cuts are for (`guard/deltas/chunks.py`).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_BLOCK, _REACH = 1 << 20, 64  # bytes hashed at once, and those that a hash is of


def ends(
    data: npt.NDArray[np.uint8], gear: npt.NDArray[np.uint64], least: int, most: int, bits: int
) -> npt.NDArray[np.int64]:
    """Return where the pieces of a file end.

    Args:
        data: The file, uint8 (n,).
        gear: A number for each byte, uint64 (256,).
        least: Fewest bytes of a piece but for the last.
        most: Most bytes of a piece.
        bits: Upper bits of the hash that are zero at a cut.
    """
    found, start = list[int](), 0
    for end in _zeros(data, gear, bits):
        while end - start > most:
            start += most
            found.append(start)
        if end - start >= least:
            start = end
            found.append(end)
    while len(data) - start >= most:
        start += most
        found.append(start)
    return np.array(found + [len(data)] * (start < len(data)), np.int64)


def _zeros(data: npt.NDArray[np.uint8], gear: npt.NDArray[np.uint64], bits: int) -> Iterator[int]:
    """Yield after which bytes the hash of the last 64 has its upper bits zero."""
    for start in range(0, len(data), _BLOCK):
        before = min(start, _REACH - 1)
        rolled = gear[data[start - before : start + _BLOCK]]
        step = 1
        while step < _REACH:
            shifted = rolled[:-step] << np.uint64(step)
            rolled = rolled.copy()
            rolled[step:] += shifted
            step *= 2
        yield from (np.flatnonzero(rolled[before:] >> np.uint64(64 - bits) == 0) + start + 1).tolist()
