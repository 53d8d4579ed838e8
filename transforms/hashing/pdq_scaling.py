"""Scaling a picture to the 64 x 64 that PDQ hashes, as the reference does, in one pass over the pixels.

What belongs here: the reference's filter. What does not: the hash (`hashing/hashes.py`).

The reference blurs the whole luma twice with a box filter along rows and columns and then keeps 64 x 64 of the values
(`jaroszFilterFloat` and `decimateFloat` in ThreatExchange's pdq/cpp/downscaling/downscaling.cpp). All of that is
linear, and it treats rows apart from columns: each kept value is a weighted sum of a few rows and columns, and only
these sums are computed here. What differs is the rounding: of 666 pictures of quality 80 and more, 2 differ, by 2 bits,
and the quality of 2 is lower by 1. A drawing of rectangles in black and white at halves and quarters differed by 45
bits at quality 100: most likely half of its frequencies are zero, so that rounding decides their bits.
"""

import functools
from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.pictures import Pixels

SIDE = 64
_STEPS = 64  # of a level of luma


def scale(picture: Pixels) -> Pixels:
    """Return the picture PDQ hashes in place of `picture`: uint8 of shape (64, 64, 3), of the same luma to 1/50 level.

    picture: uint8 of shape (height, width, 3), contiguous.
    """
    small = np.empty((SIDE, SIDE, 3), np.uint8)
    _scale(picture, _colours(), small)
    return small


@functools.cache
def _colours() -> npt.NDArray[np.uint8]:
    """Return a colour for every luma in steps of 1/64 level: uint8 of shape (16384, 3).

    The library takes bytes, and a grey rounded to bytes costs up to 6 bits of the hash. But the luma of a colour near
    that grey is 0.299 R + 0.587 G + 0.114 B, which takes many more values.
    """
    reach = np.arange(-4, 5)
    offsets = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), -1).reshape(-1, 3)
    offsets = offsets[np.argsort(offsets @ [0.299, 0.587, 0.114])]
    wanted = np.arange(_STEPS) / _STEPS
    colours = np.empty((256, _STEPS, 3), np.uint8)
    for grey in range(256):
        near = offsets[((grey + offsets >= 0) & (grey + offsets <= 255)).all(axis=1)]
        luma = near @ [0.299, 0.587, 0.114]
        above = np.clip(np.searchsorted(luma, wanted), 1, len(luma) - 1)
        closest = np.where(wanted - luma[above - 1] < luma[above] - wanted, above - 1, above)
        colours[grey] = grey + near[closest]
    return colours.reshape(-1, 3)


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
def _scale(picture: Pixels, colours: Pixels, small: Pixels) -> None:
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
