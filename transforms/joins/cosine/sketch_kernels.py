"""The loops of sketches, compiled by Numba: turning vectors, and products of few with few.

What belongs here: Numba kernels. What does not: what a sketch is (`joins/cosine/sketches.py`).
"""

import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True)
def turn(rows, flips):  # noqa: ANN001, ANN201
    """Turn each row in place: its signs flipped, then the Walsh-Hadamard transform, unscaled, for each of the flips.

    Args:
        rows: float32 (n, w), w a power of two.
        flips: Which signs to flip, bool (rounds, w).
    """
    width = rows.shape[1]
    for row in rows:
        for flip in flips:
            for i in range(width):
                if flip[i]:
                    row[i] = -row[i]
            step = 1
            while step < width:
                for start in range(0, width, 2 * step):
                    for i in range(start, start + step):
                        a, b = row[i], row[i + step]
                        row[i], row[i + step] = a + b, a - b
                step *= 2


@nb.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def products(rows, vectors):  # noqa: ANN001, ANN201
    """Return the products of rows and vectors, float32 of shape (n, m).

    Runs in one thread, without BLAS: OpenBLAS spins for some 25 ms after each product and takes a core from the next
    step.

    Args:
        rows: float32 or int8 of shape (n, d).
        vectors: float32 of shape (m, d).
    """
    found = np.empty((len(rows), len(vectors)), np.float32)
    for i in range(len(rows)):
        for j in range(len(vectors)):
            total = np.float32(0)
            for k in range(rows.shape[1]):
                total += rows[i, k] * vectors[j, k]
            found[i, j] = total
    return found
