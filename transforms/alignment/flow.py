"""Dense displacement of one picture against another, and whether it explains what disagrees around a shared region.

What belongs here: the optical flow, displacing planes by it, the share of what disagrees that lies elsewhere in the
other picture. What does not: how much of that speaks against a copy (`alignment/policy.py`), displacements that are
smooth and bounded (`alignment/alterations.py`).

The flow is the dense inverse search of Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016.

Around a part that was pasted, cut out or kept, a copy shows something else: nothing there agrees with the other
picture, wherever it is moved. In two photographs of one scene taken a step apart, one plane agrees, and what lies
before and behind it is in both pictures too, moved by more than any copy is displaced: parallax.
"""

import cv2
import numpy as np

from transforms.alignment.agreement import Array, Mask, cells, likeness
from transforms.alignment.policy import PixelLimits

_APART = 0.9  # correlation of a cell below which it disagrees
_FAR = 0.025  # of the long side: farther than a copy is displaced, see `AlterationLimits.displacement`
_FEW = 200  # cells that disagree: of fewer, one in ten is too little to tell by


def displacement(mine: Array, theirs: Array) -> Array:
    """Return by how much each pixel of a plane lies elsewhere in another: float32 (h, w, 2), x and y.

    Args:
        mine: Brightness, of shape (h, w), values in [0, 1].
        theirs: Likewise.
    """
    a, b = (np.clip(plane * 255, 0, 255).astype(np.uint8) for plane in (mine, theirs))
    return np.asarray(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(a, b, None))


def displaced(plane: Array, by: Array) -> Array:
    """Return a plane of which each pixel is taken from where it lies elsewhere.

    Args:
        plane: Of shape (h, w) or (h, w, channels).
        by: See `displacement`.
    """
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
    return np.asarray(
        cv2.remap(plane, x + by[:, :, 0], y + by[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def moved(mine: Array, theirs: Array, inside: Array, region: Mask, limits: PixelLimits) -> float:
    """Return the share of what disagrees outside a region that agrees once it is moved far.

    Args:
        mine: Brightness of a picture, smoothed, of shape (h, w).
        theirs: That of another, laid over it.
        inside: How much of each pixel the other covers.
        region: The cells that the two share.
        limits: What a cell with structure is, and when it agrees.

    Returns:
        A share of `_FEW` cells where fewer disagree.
    """
    alike, _, structured, _ = likeness(mine, theirs, inside, limits.structure, limits.likeness)
    # A cell's correlation looks one cell around it: at the edge of what is covered, and of the region, it is of both.
    covered = cv2.erode((cells(inside) > 0.99).astype(np.uint8), np.ones((3, 3))) > 0
    beyond = cv2.dilate(region.astype(np.uint8), np.ones((3, 3))) == 0
    apart = structured & covered & beyond & (alike < _APART)
    if not apart.any():
        return 0.0
    by = displacement(mine, theirs)
    after, _, _, _ = likeness(mine, displaced(theirs, by), displaced(inside, by), limits.structure, limits.likeness)
    far = cells(np.linalg.norm(by, axis=2)) >= _FAR * max(mine.shape)
    return float((apart & far & (after >= limits.likeness)).sum() / max(apart.sum(), _FEW))
