"""The memorization measures of the literature, on pixels: distances, the small-image ratio, templates, outliers.

What belongs here: the formulas, each with the paper it comes from. What does not: cliques of near pictures
(`provenance/cliques.py`), the aligned comparison that confirms a copy (`alignment/align.py`), which pictures are
measured.

Pictures are uint8 of shape (height, width, 3), 0 to 255, or floats of that shape in [0, 1]. A distance is the root of
a mean square of differences in [0, 1], so it has no unit and is at most 1. These measures are *unaligned*: a crop or a
mirrored copy is far from its source by all of them.

Carlini et al. 2023: "Extracting Training Data from Diffusion Models". Webster 2023: "A Reproducible Extraction of
Training Images from Diffusion Models". Somepalli et al. 2022: "Diffusion Art or Digital Forgery?".
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SIDE, TILE, SMALL = 512, 128, 32
TILES = (SIDE // TILE) ** 2
_AT_ONCE = 32  # pictures of a block: a tile of each is 13 MB in float64

Picture = npt.NDArray[Any]


def unit(picture: Picture) -> npt.NDArray[np.float64]:
    """Return a picture's values in [0, 1], float64 of its shape."""
    return picture.astype(np.float64) / 255 if picture.dtype == np.uint8 else picture.astype(np.float64)


def l2(a: Picture, b: Picture) -> float:
    """Return sqrt(mean((a - b)²)), values in [0, 1] (Carlini et al. 2023, section 4.1).

    Args:
        a: A picture.
        b: Another, of the same shape.

    Raises:
        ValueError: If the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} have no pixel distance; bring them to one size")
    return float(np.sqrt(np.mean((unit(a) - unit(b)) ** 2)))


def resize(picture: Picture, side: int) -> Picture:
    """Return a picture as a square, of its own type; its proportions are not kept.

    Args:
        picture: Of any size.
        side: Of the square, in pixels.
    """
    height, width = picture.shape[:2]
    shrinks = max(height, width) > side
    plain = picture if picture.dtype == np.uint8 else picture.astype(np.float32)
    return cv2.resize(plain, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def tiles(picture: Picture) -> Picture:
    """Return the 16 tiles of a picture at 512 × 512, shape (16, 49152): row by row, uint8, or float32 of floats."""
    cells = resize(picture, SIDE).reshape(SIDE // TILE, TILE, SIDE // TILE, TILE, 3)
    return np.ascontiguousarray(cells.swapaxes(1, 2)).reshape(TILES, TILE * TILE * 3)


def tile_l2(a: Picture, b: Picture) -> float:
    """Return the tiled distance of two pictures (Carlini et al. 2023, section 4.2).

    Both are brought to 512 × 512; it is the largest `l2` of the 16 corresponding tiles of 128 × 128. The largest, so
    that a common plain background does not make two pictures near.

    Args:
        a: A picture of any size.
        b: Another.
    """
    return float(tile_distances([tiles(a), tiles(b)])[0, 1])


def tile_distances(pictures: Sequence[Picture]) -> npt.NDArray[np.float64]:
    """Return the tiled distance of every two of n pictures, given as `tiles` makes them: float64 of shape (n, n).

    Each block of pictures takes 16 matrix products. Of uint8 tiles everything up to the root is whole numbers below
    2^53: a distance does not depend on the block, and rounding moves none over a threshold.
    Memory: the tiles, 25 MB, and the result.
    """
    count = len(pictures)
    largest = np.zeros((count, count))
    for tile in range(TILES):
        for first in range(0, count, _AT_ONCE):
            left = _values(pictures[first : first + _AT_ONCE], tile)
            squares = (left * left).sum(axis=1)
            for start in range(first, count, _AT_ONCE):
                right = left if start == first else _values(pictures[start : start + _AT_ONCE], tile)
                found = squares[:, None] + (right * right).sum(axis=1) - 2 * (left @ right.T)
                block = largest[first : first + len(left), start : start + len(right)]
                np.maximum(block, found, out=block)
    upper = np.triu(largest, k=1)
    scale = TILE * TILE * 3 * (255.0**2 if count and pictures[0].dtype == np.uint8 else 1.0)
    return np.sqrt((upper + upper.T) / scale)


def _values(pictures: Sequence[Picture], tile: int) -> npt.NDArray[np.float64]:
    return np.stack([picture[tile] for picture in pictures]).astype(np.float64)


def small_image_ratio(
    generation: Picture, source: Picture, neighbours: npt.NDArray[Any], alpha: float = 0.5
) -> float | None:
    """Return l2(x̂, x) / (α · mean of l2(x̂, y) over y in S) (Carlini et al. 2023, section 5.1, CIFAR-10).

    The ratio is low where x is far nearer to x̂ than the others are. If all of S are equal it is near 1 / α, however
    near x is.

    Args:
        generation: x̂, of shape (32, 32, 3), see `resize`.
        source: x, likewise.
        neighbours: S, of shape (n, 32, 32, 3), the training pictures nearest to x̂; the paper takes 50.
        alpha: α; the paper takes 0.5.

    Returns:
        None without neighbours, or if all of them equal x̂.
    """
    if not len(neighbours):
        return None
    mean = float(np.mean([l2(generation, each) for each in neighbours]))
    return l2(generation, source) / (alpha * mean) if mean else None


def template_mse(source: Picture, generation: Picture, mask: npt.NDArray[Any]) -> float | None:
    """Return the masked mean squared error, mean((t⊙m − g⊙m)²) / mean(m) (Webster 2023, template verbatim).

    Webster writes ‖·‖², which here is the *mean* over all h · w · 3 values: with it, the quotient by mean(m) is the
    mean squared error inside a mask of zeros and ones, whatever the size of picture and mask. With a full mask it is
    the square of `l2`.

    Args:
        source: t, of shape (h, w, 3).
        generation: g, of the same shape.
        mask: m, of shape (h, w), in [0, 1].

    Returns:
        None for an empty mask.
    """
    share = float(np.mean(mask))
    if not share:
        return None
    apart = (unit(source) - unit(generation)) * mask[:, :, None]
    return float(np.mean(apart**2)) / share


def box_mask(x: float, y: float, width: float, height: float, side: int = SIDE) -> npt.NDArray[np.bool_]:
    """Return the mask of a box: bool of shape (side, side). A pixel belongs to the box if its centre does.

    Args:
        x: Left edge, as a fraction of the picture, like the others.
        y: Top edge.
        width: To the right.
        height: Downwards.
        side: Of the mask, in pixels.
    """
    centres = (np.arange(side) + 0.5) / side
    across = (centres >= x) & (centres <= x + width)
    down = (centres >= y) & (centres <= y + height)
    return down[:, None] & across[None, :]


def outlier_scores(cosines: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the mean cosine distance to the k nearest neighbours (Carlini et al. 2023, section 4.3, "outlierness").

    cosines: shape (n, k), of each picture with its nearest. Returns shape (n,), from 0 for one among equals up to 2.
    """
    return 1.0 - cosines.astype(np.float64).mean(axis=1)
