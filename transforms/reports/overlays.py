"""A source laid over a generation, to be looked at: the warped picture, and where the two differ.

What belongs here: warping, the residual and its colours, at the size of a page. What does not: deciding anything from
it (`alignment/align.py`), the page (`reports/case_page.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from transforms.alignment.agreement import exposure
from transforms.pictures import Pixels
from transforms.regions import Box

LONG_SIDE = 640  # pixels
HEAT_MOST = 0.25  # difference, values in [0,1], from which the heat map has its last colour
_GREY = np.array([128, 128, 128], np.uint8)


@dataclass(frozen=True)
class Overlay:
    """Pictures of one size, uint8 of shape (h, w, 3), RGB.

    source: laid over the generation, which shines through dimmed where the source does not reach. heat: the colour of
    the difference of each pixel after one gain and offset a channel, grey where there is no source. covered: the share
    of the generation that the source reaches.
    """

    generation: Pixels
    source: Pixels
    heat: Pixels
    covered: float


def overlay(
    generation: Pixels,
    source: Pixels,
    homography: Sequence[float],
    region: Box | None = None,
    long_side: int = LONG_SIDE,
) -> Overlay:
    """Lay the source over the generation.

    homography: 9 doubles, row by row; maps source coordinates to generation coordinates, both fractions of the picture
    from the top left corner. region: where on the generation the exposure is matched; wherever the source reaches if
    None. Raises ValueError for a map that is none, or that takes the source out of the picture.
    """
    onto = _matrix(homography)
    shown = shrink(generation, long_side)
    height, width = shown.shape[:2]
    laid, reach = _warped(source, onto, width, height)
    if not reach.any():
        raise ValueError("the alignment takes the source out of the picture")
    fit = reach & _inside(region, width, height)
    fit = fit if fit.any() else reach
    mine, theirs = shown.astype(np.float64) / 255, laid.astype(np.float64) / 255
    gain, offset = exposure(mine[fit], theirs[fit])
    apart = np.sqrt(np.mean((mine - np.clip(gain * theirs + offset, 0, 1)) ** 2, axis=2))
    heat = np.where(reach[..., None], colours(apart), _GREY)
    dimmed = (shown * 0.35 + _GREY * 0.65).astype(np.uint8)
    return Overlay(shown, np.where(reach[..., None], laid, dimmed), heat, float(reach.mean()))


def colours(difference: npt.NDArray[np.floating]) -> Pixels:
    """Return the colour of each difference: shape (h, w) in, values in [0,1]; uint8 (h, w, 3) out.

    Nearly black is equal, pale yellow is HEAT_MOST or more; lightness grows throughout, so that grey print keeps it.
    """
    levels = np.round(np.clip(difference / HEAT_MOST, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.uint8)


def legend(width: int = 256, height: int = 12) -> Pixels:
    """Return the colours from 0 to HEAT_MOST, left to right."""
    return colours(np.tile(np.linspace(0, HEAT_MOST, width), (height, 1)))


def shrink(picture: Pixels, long_side: int = LONG_SIDE) -> Pixels:
    """Return the picture with its longer side at most `long_side` pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _matrix(homography: Sequence[float]) -> npt.NDArray[np.float64]:
    numbers = np.asarray(homography, np.float64)
    if numbers.shape != (9,) or not np.isfinite(numbers).all() or abs(np.linalg.det(numbers.reshape(3, 3))) < 1e-12:
        raise ValueError("the alignment is no map of one picture onto another")
    return numbers.reshape(3, 3)


def _pixels(width: int, height: int) -> npt.NDArray[np.float64]:
    """Fractions of a picture to positions of pixel centres."""
    return np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1]], np.float64)


def _warped(
    source: Pixels, onto: npt.NDArray[np.float64], width: int, height: int
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Return the source as it lies on a picture of that size, and where it reaches."""
    # brought to about the size at which it lies there first, or thin lines would break up
    corners = cv2.perspectiveTransform(np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]], np.float64), onto)[0]
    sides = np.linalg.norm((corners - np.roll(corners, 1, axis=0)) * [width, height], axis=1)
    small = shrink(source, int(np.clip(np.nan_to_num(sides.max(), nan=LONG_SIDE), 16, 4 * LONG_SIDE)))
    rows, columns = small.shape[:2]
    pixels = _pixels(width, height) @ onto @ np.linalg.inv(_pixels(columns, rows))
    laid = cv2.warpPerspective(small, pixels, (width, height), borderMode=cv2.BORDER_REPLICATE)
    reach = cv2.warpPerspective(np.ones((rows, columns), np.uint8), pixels, (width, height), flags=cv2.INTER_NEAREST)
    return laid.astype(np.uint8), reach > 0


def _inside(region: Box | None, width: int, height: int) -> npt.NDArray[np.bool_]:
    inside = np.zeros((height, width), np.bool_)
    x, y, right, bottom = (
        (region.x, region.y, region.x + region.width, region.y + region.height) if region else (0, 0, 1, 1)
    )
    inside[round(y * height) : round(bottom * height), round(x * width) : round(right * width)] = True
    return inside
