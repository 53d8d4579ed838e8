"""Turning vectors and their products, by NumPy: see `joins/cosine/sketch_kernels.py`.

What belongs here: the loops of sketches. What does not: what a sketch is (`joins/cosine/sketches.py`).
"""

import numpy as np
import numpy.typing as npt

_ROWS = 4_096  # multiplied at once


def turn(rows: npt.NDArray[np.float32], flips: npt.NDArray[np.bool_]) -> None:
    """Turn each row in place: its signs flipped, then the Walsh-Hadamard transform, unscaled, for each of the flips.

    Args:
        rows: float32 (n, w), w a power of two.
        flips: Which signs to flip, bool (rounds, w).
    """
    width = rows.shape[1]
    for flip in flips:
        rows[:, flip] *= -1
        step = 1
        while step < width:
            pairs = rows.reshape(len(rows), width // (2 * step), 2, step)
            first, second = pairs[:, :, 0].copy(), pairs[:, :, 1].copy()
            pairs[:, :, 0], pairs[:, :, 1] = first + second, first - second
            step *= 2


def products(rows: npt.NDArray, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the products of rows and vectors, float32 of shape (n, m). Without BLAS, whose threads spin afterwards.

    Args:
        rows: float32 or int8 of shape (n, d).
        vectors: float32 of shape (m, d).
    """
    found = np.empty((len(rows), len(vectors)), np.float32)
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS].astype(np.float32)
        found[start : start + _ROWS] = np.einsum("ik,jk->ij", some, vectors)
    return found
