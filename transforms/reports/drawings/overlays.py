"""A source laid over a generation for people to look at: the warped picture, and where the two differ.

What belongs here: warping, the differences and their colours, at the size of a page. What does not: deciding anything
from them (`alignment/`), the page (`reports/case_page.py`).
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
HEAT_MOST = 0.25  # difference, of values in [0, 1], from which on the heat map shows its last colour
_GREY = np.array([128, 128, 128], np.uint8)


@dataclass(frozen=True)
class Overlay:
    """Pictures of one size, uint8 of shape (height, width, 3), RGB.

    Attributes:
        source: The warped source; where it does not reach, the generation, dimmed.
        heat: The colour of each pixel's difference after one gain and offset for each channel; grey without source.
        covered: The share of the generation that the source reaches.
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

    Args:
        generation: The generated picture.
        source: The training picture.
        homography: 9 numbers, row by row, that map source to generation coordinates. Both are fractions of the picture
            from the top left corner.
        region: Part of the generation where the exposure is matched; wherever the source reaches if None.
        long_side: Pixels of the longer side of the result.

    Raises:
        ValueError: If the homography is not invertible, or maps the source outside the picture.
    """
    onto = _matrix(homography)
    shown = shrink(generation, long_side)
    height, width = shown.shape[:2]
    laid, reach = _warped(source, onto, width, height)
    if not reach.any():
        raise ValueError("the alignment maps the source outside the picture")
    fit = reach & _inside(region, width, height)
    fit = fit if fit.any() else reach
    mine, theirs = shown.astype(np.float64) / 255, laid.astype(np.float64) / 255
    gain, offset = exposure(mine[fit], theirs[fit])
    apart = np.sqrt(np.mean((mine - np.clip(gain * theirs + offset, 0, 1)) ** 2, axis=2))
    heat = np.where(reach[..., None], colours(apart), _GREY)
    dimmed = (shown * 0.35 + _GREY * 0.65).astype(np.uint8)
    return Overlay(shown, np.where(reach[..., None], laid, dimmed), heat, float(reach.mean()))


def colours(difference: npt.NDArray[np.floating]) -> Pixels:
    """Return the colour of each difference, as uint8 of shape (height, width, 3).

    Nearly black is equal, pale yellow is HEAT_MOST or more. Lightness grows throughout, so that a grey print keeps it.
    `difference` has the shape (height, width) and values in [0, 1].
    """
    levels = np.round(np.clip(difference / HEAT_MOST, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.uint8)


def legend(width: int = 256, height: int = 12) -> Pixels:
    """Return the colours from 0 to HEAT_MOST, left to right.

    Args:
        width: pixels.
        height: pixels.
    """
    return colours(np.tile(np.linspace(0, HEAT_MOST, width), (height, 1)))


def shrink(picture: Pixels, long_side: int = LONG_SIDE) -> Pixels:
    """Shrink a picture.

    Args:
        picture: The picture.
        long_side: Pixels of its longer side at most.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _matrix(homography: Sequence[float]) -> npt.NDArray[np.float64]:
    numbers = np.asarray(homography, np.float64)
    if numbers.shape != (9,) or not np.isfinite(numbers).all() or abs(np.linalg.det(numbers.reshape(3, 3))) < 1e-12:
        raise ValueError("the alignment does not map one picture onto the other")
    return numbers.reshape(3, 3)


def _pixels(width: int, height: int) -> npt.NDArray[np.float64]:
    """Return the map from fractions of a picture to coordinates of pixel centres."""
    return np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1]], np.float64)


def _warped(
    source: Pixels, onto: npt.NDArray[np.float64], width: int, height: int
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Return the source warped onto a picture of that size, and where it reaches."""
    # Shrink it to about its final size first, or thin lines break up.
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
