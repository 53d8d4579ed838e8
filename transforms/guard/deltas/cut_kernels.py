"""Cutting files where their content says, compiled by Numba.

What belongs here: the loop. What does not: what cuts are for (`guard/deltas/chunks.py`).
"""

import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True)
def ends(data, gear, least, most, bits):  # noqa: ANN001, ANN201
    """Return where the pieces of a file end.

    Args:
        data: The file, uint8 (n,).
        gear: A number for each byte, uint64 (256,).
        least: Fewest bytes of a piece but for the last.
        most: Most bytes of a piece.
        bits: Upper bits of the hash that are zero at a cut.
    """
    found = np.empty(len(data) // least + 1, np.int64)
    count, start, rolled = 0, 0, np.uint64(0)
    for place in range(len(data)):
        rolled = (rolled << np.uint64(1)) + gear[data[place]]
        size = place + 1 - start
        if size >= least and (rolled >> np.uint64(64 - bits) == 0 or size >= most):
            found[count] = place + 1
            count += 1
            start = place + 1
    if start < len(data):
        found[count] = len(data)
        count += 1
    return found[:count]
