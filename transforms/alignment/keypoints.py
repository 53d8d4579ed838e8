"""The features of a picture, computed once, and matching two pictures by them.

What belongs here: reducing a picture, its local features, their nearest neighbours. What does not: the maps that
matches agree on (`alignment/geometry.py`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from transforms.alignment.agreement import CELL, TINY, Array, cells
from transforms.alignment.policy import PixelLimits

LEAST = 2 * CELL  # pixels: a side below this holds no cell that is not border
SMOOTH = 2.0  # pixels: averages noise and misalignments of a pixel away before structure is compared
_THUMB = 32  # pixels a side

# Mirrored, a patch has the same SIFT descriptor with its 4 rows reversed and its 8 directions counted backwards:
# mirrored copies cost a second matching, not a second detection.
MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8)].ravel()


@dataclass(frozen=True)
class Features:
    """The features of one picture for `align`, computed once and reused for all its candidates."""

    colour: Array  # (h, w, 3), the reduced picture, values in [0,1]
    grey: Array  # (h, w), smoothed
    points: Array  # (n, 2), x and y in its pixels
    descriptors: Array  # (n, 128), unit length
    thumb: Array  # (32, 32), unit length, coarse structure
    colourless: bool  # black, grey and white alone
    enlarged: float  # times, of a picture too small for the long side; else 1


def features(picture: npt.NDArray[np.uint8], limits: PixelLimits) -> Features:
    """Reduce a picture and find its keypoints.

    Args:
        picture: uint8 of shape (h, w, 3), RGB, at least one pixel.
        limits: The size to reduce to, and the count of keypoints.

    Raises:
        ValueError: For any other array.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(f"a picture must be uint8 of shape (h, w, 3), not {picture.dtype} of {picture.shape}")
    height, width = picture.shape[:2]
    scale = min(limits.long_side / max(height, width), limits.enlarged)
    if min(height, width) < LEAST:
        scale = min(scale, 1.0)  # enlarging a few pixels would make a picture of nothing
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    sharp = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    # A low contrast threshold: sky and sea have few points, and the strongest are kept in any case.
    sift = cv2.SIFT.create(limits.keypoints, contrastThreshold=0.01, enable_precise_upscale=True)
    keypoints, described = sift.detectAndCompute(sharp, None) if min(size) >= LEAST else ((), None)
    descriptors = np.zeros((0, 128), np.float32) if described is None else described
    # RootSIFT: Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval", 2012.
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), TINY))
    grey = cv2.GaussianBlur(sharp.astype(np.float32) / 255, (0, 0), SMOOTH)
    thumb = cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA)
    thumb -= cv2.GaussianBlur(thumb, (0, 0), _THUMB / 8)
    thumb /= max(float(np.linalg.norm(thumb)), TINY)
    points = np.array([p.pt for p in keypoints], np.float32).reshape(-1, 2)
    colour = small.astype(np.float32) / 255
    colourless = bool(np.ptp(cells(colour), axis=2).max() <= limits.colour)
    enlarged = scale if max(size) < limits.long_side else 1.0
    return Features(colour, grey, points, descriptors, thumb, colourless, enlarged)


def matches(a: Features, b: Features, descriptors: Array, limits: PixelLimits) -> tuple[Array, Array]:
    """Return points of b and of a, each of shape (n, 2), whose descriptors are nearest by a clear margin.

    Args:
        a: Features of a picture.
        b: Features of another.
        descriptors: Of b, plain or mirrored.
        limits: How clear the margin must be.
    """
    if min(len(a.points), len(b.points)) < 2:
        return b.points[:0], a.points[:0]
    of_b, first, second = nearest(a, descriptors)
    clear = 1 - first < limits.ratio**2 * (1 - second)
    return b.points[of_b[clear]], a.points[clear]


def nearest(a: Features, descriptors: Array) -> tuple[npt.NDArray[np.intp], Array, Array]:
    """Return, for each feature of a, the nearest of b and the cosines with the nearest and the second-nearest.

    Distances follow from cosines: of unit vectors, distance² = 2 - 2 cosine.

    Args:
        a: Features of a picture.
        descriptors: Of b, at least two.
    """
    cosine = a.descriptors @ descriptors.T
    rows, of_b = np.arange(len(cosine)), cosine.argmax(axis=1)
    first = cosine[rows, of_b]
    cosine[rows, of_b] = -1
    return of_b, first, cosine.max(axis=1)
