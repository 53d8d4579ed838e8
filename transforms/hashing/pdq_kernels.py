"""Scaling a picture for PDQ, compiled by Numba.

What belongs here: the loops. What does not: the filter that they compute (`hashing/pdq_scaling.py`).
"""

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.pictures import Pixels

SIDE = 64
_STEPS = 64  # of a level of luma


def _compiled(*signature: object) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile to machine code, cached on disk for the next process if a folder for it is writable."""

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return nb.njit(*signature, nogil=True, cache=True)(function)
        except RuntimeError:  # Numba found no such folder
            return nb.njit(*signature, nogil=True)(function)

    return compiled


@nb.njit
def _weights(length: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the share of a row of pixels in each of 64 kept values: weights, and the pixel at which they begin.

    A box of `window` pixels covers those from `half - window` to `half - 1` beside its own that exist, and each of
    those has been the mean of such a box before.
    """
    window = (length + 2 * SIDE - 1) // (2 * SIDE)
    half = (window + 2) // 2
    weights = np.zeros((SIDE, 2 * window), np.float32)
    starts = np.empty(SIDE, np.int64)
    for i in range(SIDE):
        kept = (2 * i + 1) * length // (2 * SIDE)
        first, last = max(0, kept + half - window), min(length - 1, kept + half - 1)
        starts[i] = max(0, first + half - window)
        for middle in range(first, last + 1):
            left, right = max(0, middle + half - window), min(length - 1, middle + half - 1)
            weights[i, left - starts[i] : right + 1 - starts[i]] += 1.0 / ((last + 1 - first) * (right + 1 - left))
    return weights, starts


@_compiled(nb.void(nb.types.Array(nb.uint8, 3, "C", readonly=True), nb.uint8[:, ::1], nb.uint8[:, :, ::1]))
def scale_into(picture: Pixels, colours: Pixels, small: Pixels) -> None:
    """Write the picture that PDQ hashes in place of another.

    Args:
        picture: uint8 (height, width, 3).
        colours: A colour for every luma in steps of 1/64 level.
        small: uint8 (64, 64, 3), for the result.
    """
    height, width = picture.shape[:2]
    lines = picture.reshape(height, 3 * width)
    down, tops = _weights(height)
    across, lefts = _weights(width)
    across = across.T.copy()
    total = np.empty(3 * width, np.float32)
    luma = np.zeros(width + len(across), np.float32)  # where a box ends at the border, its last weights are 0
    kept = np.empty(SIDE, np.float32)
    for i in range(SIDE):
        total[:] = 0
        for k in range(down.shape[1]):
            weight = down[i, k]
            if weight > 0:
                line = lines[tops[i] + k]
                for j in range(3 * width):
                    total[j] += weight * np.float32(line[j])
        for j in range(width):
            red, green, blue = total[3 * j], total[3 * j + 1], total[3 * j + 2]
            luma[j] = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        kept[:] = 0
        for k in range(len(across)):
            for j in range(SIDE):
                kept[j] += across[k, j] * luma[lefts[j] + k]
        for j in range(SIDE):
            step = int(kept[j] * _STEPS + np.float32(0.5))
            small[i, j, 0], small[i, j, 1], small[i, j, 2] = colours[step, 0], colours[step, 1], colours[step, 2]
