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

import numpy as np
import numpy.typing as npt

from transforms.packages import COMPILED
from transforms.pictures import Pixels

if COMPILED:
    from transforms.hashing.pdq_kernels import scale_into
else:
    from transforms.uncompiled.scaling import scale_into

SIDE = 64
_STEPS = 64  # of a level of luma


def scale(picture: Pixels) -> Pixels:
    """Return the picture PDQ hashes in place of `picture`: uint8 of shape (64, 64, 3), of the same luma to 1/50 level.

    picture: uint8 of shape (height, width, 3), contiguous.
    """
    small = np.empty((SIDE, SIDE, 3), np.uint8)
    scale_into(picture, _colours(), small)
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
