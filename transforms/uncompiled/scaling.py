"""Scaling a picture for PDQ, by NumPy: see `hashing/pdq_kernels.py`.

What belongs here: the sums, in the order of the compiled ones, so that they are the same numbers. What does not: the
filter (`hashing/pdq_scaling.py`).
"""

import functools

import numpy as np
import numpy.typing as npt

SIDE = 64
_STEPS = 64


@functools.lru_cache(maxsize=64)
def _weights(length: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the share of a row of pixels in each of 64 kept values: weights, and the pixel at which they begin."""
    window = (length + 2 * SIDE - 1) // (2 * SIDE)
    half = (window + 2) // 2
    weights, starts = np.zeros((SIDE, 2 * window), np.float32), np.empty(SIDE, np.int64)
    for i in range(SIDE):
        kept = (2 * i + 1) * length // (2 * SIDE)
        first, last = max(0, kept + half - window), min(length - 1, kept + half - 1)
        starts[i] = max(0, first + half - window)
        for middle in range(first, last + 1):
            left, right = max(0, middle + half - window), min(length - 1, middle + half - 1)
            part = weights[i, left - starts[i] : right + 1 - starts[i]]
            part[:] = part + np.float64(1.0 / ((last + 1 - first) * (right + 1 - left)))
    return weights, starts


def scale_into(picture: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8], small: npt.NDArray[np.uint8]) -> None:
    """Write the picture that PDQ hashes in place of another.

    Args:
        picture: uint8 (height, width, 3).
        colours: A colour for every luma in steps of 1/64 level.
        small: uint8 (64, 64, 3), for the result.
    """
    height, width = picture.shape[:2]
    (down, tops), (across, lefts) = _weights(height), _weights(width)
    total = np.zeros((SIDE, width, 3), np.float32)
    for k in range(down.shape[1]):
        lines = picture[np.minimum(tops + k, height - 1)].astype(np.float32)  # beyond the border weights are 0
        total += down[:, k, None, None] * lines
    luma = np.zeros((SIDE, width + across.shape[1]), np.float32)
    red, green, blue = total[:, :, 0], total[:, :, 1], total[:, :, 2]
    luma[:, :width] = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    kept = np.zeros((SIDE, SIDE), np.float32)
    for k in range(across.shape[1]):
        kept += across[:, k] * luma[:, lefts + k]
    small[:] = colours[(kept * np.float32(_STEPS) + np.float32(0.5)).astype(np.int64)]
