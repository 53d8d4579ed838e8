"""The agreement of two aligned pictures: cell by cell, and the rectangle in which they agree.

What belongs here: arithmetic on planes of equal size. What does not: aligning pictures (`alignment/align.py`), how much
agreement is enough (`alignment/policy.py`).
"""

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

type Array = npt.NDArray[np.floating]
type Mask = npt.NDArray[np.bool_]

CELL = 8  # pixels a side: the step at which regions are found
TINY = 1e-8


def likeness(x: Array, y: Array, inside: Array, structure: float, alike: float) -> tuple[Array, Array, Mask, Mask]:
    """Compare two grey planes cell by cell, each cell with its eight neighbours.

    Args:
        x: float of shape (h, w).
        y: float of shape (h, w).
        inside: Of shape (h, w), how much of a pixel y covers, 0 to 1.
        structure: Standard deviation from which a cell has structure.
        alike: Correlation from which a cell takes part in setting the common contrast.

    Returns:
        Of each cell: the normalised correlation, how far its contrast strays from the common one (natural logarithm),
        whether either plane has structure there, and whether y covers it.
    """
    around = [
        cv2.blur(cells(inside * plane), (3, 3), borderType=cv2.BORDER_REPLICATE)
        for plane in (np.ones_like(x), x, y, x * x, y * y, x * y)
    ]
    weight = np.maximum(around[0], TINY)
    mean_x, mean_y, square_x, square_y, product = (plane / weight for plane in around[1:])
    variance_x = np.maximum(square_x - mean_x**2, TINY)
    variance_y = np.maximum(square_y - mean_y**2, TINY)
    correlation = (product - mean_x * mean_y) / np.sqrt(variance_x * variance_y)
    covered = cells(inside) > 0.5
    structured = covered & (np.maximum(variance_x, variance_y) > structure**2)
    contrast = 0.5 * np.log(variance_x / variance_y)
    agreed = contrast[structured & (correlation >= alike)]
    common = np.median(agreed) if agreed.size else 0.0
    return correlation, np.abs(contrast - common), structured, covered


def cells(plane: Array) -> Array:
    """Return the mean of each cell of CELL × CELL pixels: shape (h, w) or (h, w, c) in, divided by CELL out."""
    height, width = plane.shape[:2]
    return cv2.resize(plane, (-(-width // CELL), -(-height // CELL)), interpolation=cv2.INTER_AREA)


def levelled(plane: Array) -> Array:
    """Return what a surface of the second degree, fitted to the cells of a plane, leaves of it: shape (h, w).

    Two clear skies are darker at the same edge, and a fall-off of light alone makes all of their cells agree.
    """
    y, x = (np.arange(side) / side - 0.5 for side in plane.shape)
    coarse_y, coarse_x = ((np.arange(-(-side // CELL)) + 0.5) * CELL / side - 0.5 for side in plane.shape)
    down, across = (each.ravel() for each in np.meshgrid(coarse_y, coarse_x, indexing="ij"))
    terms = np.stack([np.ones_like(down), down, down**2, across, across**2, down * across], axis=1)
    fitted, _, _, _ = np.linalg.lstsq(terms, cells(plane).ravel().astype(np.float64), rcond=None)
    of_row, of_column = fitted[0] + fitted[1] * y + fitted[2] * y**2, fitted[3] * x + fitted[4] * x**2
    return np.asarray(plane - of_row[:, None] - of_column - fitted[5] * np.outer(y, x), np.float32)


def exposure(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the gain and offset of each channel that bring b closest to a.

    Args:
        a: Of shape (n, 3).
        b: Of shape (n, 3).
    """
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    gain = ((a - mean_a) * (b - mean_b)).mean(axis=0) / np.maximum(b.var(axis=0), TINY)
    gain = np.clip(gain, 0.25, 4.0)  # beyond, the fit would flatten b until it resembles anything
    return gain, mean_a - gain * mean_b


def squares(a: Array, b: Array, gain: Array, offset: Array) -> Array:
    """Return the mean squared difference of a and b at each pixel, over the channels: shape (h, w).

    Args:
        a: Of shape (h, w, 3).
        b: Of shape (h, w, 3).
        gain: Brings b to a's exposure, by channel.
        offset: Likewise.
    """
    apart = a - gain * b - offset
    return np.einsum("hwc,hwc->hw", apart, apart) / a.shape[2]


def rectangle(votes: Array) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the rectangle with the largest sum.

    Kadane's scan over all pairs of rows: Bentley, "Programming Pearls", CACM 27, 1984.
    """
    rows, columns = votes.shape
    above = np.vstack([np.zeros(columns), np.cumsum(votes, axis=0)])
    top, bottom = np.triu_indices(rows + 1, k=1)
    run = np.cumsum(above[bottom] - above[top], axis=1)
    before = np.hstack([np.zeros((len(run), 1)), run[:, :-1]])
    pair, last = divmod(int((run - np.minimum.accumulate(before, axis=1)).argmax()), columns)
    return int(top[pair]), int(bottom[pair]), int(before[pair, : last + 1].argmin()), last + 1


def tiles(off: Array, inside: Mask, side: int = 4) -> list[float]:
    """Return the mean of a plane in each of side × side tiles of the box around a mask.

    Args:
        off: Of shape (h, w).
        inside: The pixels that count.
        side: Tiles a side.
    """
    down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    rows = np.linspace(down[0], down[-1] + 1, side + 1).astype(int)
    columns = np.linspace(across[0], across[-1] + 1, side + 1).astype(int)
    means = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            counted = inside[top:bottom, left:right]
            if counted.any():
                means.append(float(off[top:bottom, left:right][counted].mean()))
    return means


def similarity(x: Array, y: Array) -> Array:
    """Return the structural similarity of two grey planes at every pixel, -1 to 1.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, its constants and
    window. The planes were smoothed before, so what a re-encoding loses counts less than there.

    Args:
        x: Of shape (h, w), values in [0, 1].
        y: Likewise.
    """
    mean_x, mean_y, square_x, square_y, product = (
        cv2.GaussianBlur(plane, (11, 11), 1.5) for plane in (x, y, x * x, y * y, x * y)
    )
    c1, c2 = 0.01**2, 0.03**2
    shared = (2 * mean_x * mean_y + c1) * (2 * (product - mean_x * mean_y) + c2)
    spread = square_x - mean_x**2 + square_y - mean_y**2 + c2
    # what is left of equal planes after rounding may lie above 1
    return np.clip(shared / ((mean_x**2 + mean_y**2 + c1) * spread), -1, 1)
