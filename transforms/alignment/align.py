"""Laying one picture over another, and measuring the region that they share.

What belongs here: choosing the map that fits best, finding the region, measuring it. What does not: the features of one
picture (`alignment/keypoints.py`), the maps (`alignment/geometry.py`), arithmetic on planes (`alignment/agreement.py`),
how much agreement is enough (`alignment/policy.py`), choosing pairs, decoding files.

SIFT keypoints (Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 60, 2004) of both pictures are
matched, and maps are fitted to the matches. Points alone prove little: a watermark, or two photographs of one facade,
have matching points too. So b is laid over a, and they are compared cell by cell by normalised correlation, which does
not depend on brightness or contrast. The region is the rectangle whose cells agree most and disagree least, and its
cells decide. Cells without structure, such as sky, do not count as evidence.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from transforms.alignment.agreement import (
    CELL,
    Array,
    Mask,
    cells,
    exposure,
    likeness,
    rectangle,
    similarity,
    squares,
    tiles,
)
from transforms.alignment.alteration_policy import Alteration
from transforms.alignment.flow import moved
from transforms.alignment.geometry import Placement, map_points, placements
from transforms.alignment.keypoints import LEAST, SMOOTH, Features
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.regions import Box

_EQUAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def align(a: Features, b: Features, limits: PixelLimits) -> Alignment | None:
    """Lay b over a, plain and mirrored, and measure the region where they agree best.

    Deterministic: OpenCV's RANSAC starts from a constant seed.

    Args:
        a: Features of a picture.
        b: Features of another, by the same limits.
        limits: When pixels agree.

    Returns:
        None if nothing agrees under any map of b to a, or if a side has fewer than 16 pixels.
    """
    if min(a.grey.shape + b.grey.shape) < LEAST:
        return None
    if np.array_equal(a.colour, b.colour):
        page, count = Box(0.0, 0.0, 1.0, 1.0), a.grey.size // CELL**2
        points = len(a.points)
        return Alignment(points, 0.0, 1.0, 1.0, page, page, False, count, 1.0, count, "equal", _EQUAL, 0.0, 0.0, 1.0)
    if max(b.grey.shape) < max(a.grey.shape):  # enlarged, it would lack the other's fine structure
        alignment = align(b, a, limits)
        return alignment and turned(alignment)
    if a.colourless != b.colourless:  # a copy in grey has the source's brightness, and nothing of its colours
        a, b = _grey(a), _grey(b)
    best: Alignment | None = None
    for placement in placements(a, b, limits):
        alignment = _measure(a, b, placement, limits)
        if alignment and alignment.copied(limits):
            return alignment
        if alignment and (best is None or _rank(alignment, limits) > _rank(best, limits)):
            best = alignment
    return best


def turned[Measurement: (Alignment, Alteration)](measured: Measurement) -> Measurement:
    """Convert a measurement of a laid over b into one of b laid over a."""
    back = np.linalg.inv(np.reshape(measured.homography, (3, 3)))
    return replace(
        measured,
        overlap_a=measured.overlap_b,
        overlap_b=measured.overlap_a,
        region_a=measured.region_b,
        region_b=measured.region_a,
        homography=tuple((back / back[2, 2]).ravel().tolist()),
    )


def _rank(alignment: Alignment, limits: PixelLimits) -> tuple[bool, float]:
    return alignment.confirmed(limits), alignment.agreement * alignment.cells


def _grey(picture: Features) -> Features:
    brightness = cv2.cvtColor(picture.colour, cv2.COLOR_RGB2GRAY)
    return replace(picture, colour=cv2.cvtColor(brightness, cv2.COLOR_GRAY2RGB))


def lay(b: Features, onto: Array, size: tuple[int, int], enlarged: float) -> tuple[Array, Array, Array]:
    """Lay b over a picture.

    Args:
        b: Features of the picture to lay.
        onto: Of shape (3, 3), pixels of b to pixels of the other.
        size: Width and height of the other.
        enlarged: The factor by which the other was enlarged.

    Returns:
        The colours of b, (h, w, 3); how much of each pixel it covers, (h, w); and for each cell the area of b under one
        of its pixels.
    """
    scale = _scale(onto, b.grey.shape)
    # Shrinking b without smoothing it first would alias, or keep what a is too small to show.
    shrinks = scale * b.enlarged / enlarged < 0.7  # pixels as they were before either was enlarged
    source = cv2.GaussianBlur(b.colour, (0, 0), 0.5 * enlarged / scale) if shrinks else b.colour
    if onto[2, 0] == onto[2, 1] == 0:
        laid = cv2.warpAffine(source, onto[:2], size, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.warpAffine(np.ones_like(b.grey), onto[:2], size)
    else:
        laid = cv2.warpPerspective(source, onto, size, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.warpPerspective(np.ones_like(b.grey), onto, size)
    back = np.linalg.inv(onto)
    y, x = (np.mgrid[: -(-size[1] // CELL), : -(-size[0] // CELL)] + 0.5) * CELL
    depth = back[2, 0] * x + back[2, 1] * y + back[2, 2]
    return laid, inside, np.abs(np.linalg.det(back) / np.where(depth > 0, depth, np.inf) ** 3)


def _scale(onto: Array, shape: tuple[int, ...]) -> float:
    """Return the factor by which a map enlarges a side at the centre of a picture of `shape`.

    With p = onto[:2, :2] x + onto[:2, 2] and the depth q = onto[2, :2] x + onto[2, 2], the map is p / q. Its derivative
    at x is (onto[:2, :2] - (p / q) onto[2, :2]) / q, and the root of its determinant is the scale of a side.
    """
    rows, columns = shape
    middle = np.array([columns / 2, rows / 2])
    image, depth = map_points(onto, middle[None])[0], float(middle @ onto[2, :2] + onto[2, 2])
    return float(np.sqrt(abs(np.linalg.det(onto[:2, :2] - np.outer(image, onto[2, :2])))) / depth)


@dataclass(frozen=True)
class _Region:
    """The rectangle of a that b agrees with, in cells.

    Attributes:
        top, bottom, left, right: The rectangle, one cell wider than what agrees: a cell's correlation looks one cell
            around it, so that the cells at the edge of a copy do not agree.
        part: Mask of the cells that agree and those between them.
        inner: Mask of the cells of the part that are evidence.
        agreeing: Mask of the cells of the part that agree.
        solid: Agreeing cells in the largest piece.
    """

    top: int
    bottom: int
    left: int
    right: int
    part: Mask
    inner: Mask
    agreeing: Mask
    solid: int

    def covered(self, inside: Array) -> Mask:
        """Return the cells of the rectangle that b covers; `inside` says how much of each pixel it covers."""
        within = np.zeros_like(self.part)
        within[self.top : self.bottom, self.left : self.right] = True
        return within & (cells(inside) > 0.5)

    def corners(self, size: Array) -> tuple[Array, Array]:
        """Return the top left and the bottom right corner in pixels of a picture of `size`, width and height."""
        rows, columns = self.part.shape
        step = size / np.array([columns, rows])
        return np.array([self.left, self.top]) * step, np.minimum(np.array([self.right, self.bottom]) * step, size)


def _region(a: Features, laid: Array, inside: Array, limits: PixelLimits) -> _Region | None:
    """Find the rectangle in which the cells of two pictures of one size agree most and disagree least."""
    alike, drift, structured, covered = likeness(a.grey, brightness(laid), inside, limits.structure, limits.likeness)
    agreeing = structured & (alike >= limits.likeness) & (drift <= limits.gain)
    if not agreeing.any():
        return None
    mine, theirs = cells(a.colour), cells(laid)
    gain, offset = exposure(mine[agreeing], theirs[agreeing])
    apart = np.abs(mine - gain * theirs - offset).max(axis=2)
    agreeing &= apart <= limits.colour
    flat = covered & ~structured & (apart <= limits.colour)
    # An evident cell counts for or against; a flat one tips the edge of a region, no more.
    votes = np.clip(np.minimum((alike - 0.7) / 0.25, 2 - 2 * drift / limits.gain), -1, 1)
    votes = np.where(structured, votes, np.clip(0.25 - 8 * apart, -0.5, 0.25))
    top, bottom, left, right = rectangle(np.where(covered, votes, -1.0))
    part = np.zeros_like(covered)
    part[top:bottom, left:right] = covered[top:bottom, left:right]
    # A cell's correlation looks one cell around it: the outermost cells of the part see what lies beyond, and say
    # nothing.
    inner = structured & (cv2.erode(part.astype(np.uint8), np.ones((3, 3))) > 0)
    solid = _solid(agreeing & part, (agreeing | flat) & part)
    if not inner.any():
        return None
    return _Region(max(top - 1, 0), bottom + 1, max(left - 1, 0), right + 1, part, inner, agreeing & part, solid)


def _measure(a: Features, b: Features, placement: Placement, limits: PixelLimits) -> Alignment | None:
    """Lay b over a by one map and measure the region that they share."""
    height, width = a.grey.shape
    rows, columns = b.grey.shape
    laid, inside, area = lay(b, placement.onto, (width, height), a.enlarged)
    region = _region(a, laid, inside, limits)
    if region is None:
        return None
    pixels = pixels_of(region.part, inside > 0.99)
    if not pixels.any():
        return None
    shared, size = region.covered(inside), np.array([width, height])
    low, high = region.corners(size)
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    on_b = map_points(np.linalg.inv(placement.onto), corners - 0.5) + 0.5

    mine, theirs = cells(a.colour), cells(laid)
    gain, offset = exposure(mine[region.part], theirs[region.part])
    off = squares(a.colour, laid, gain, offset)
    kept = region.agreeing if pixels_of(region.agreeing, pixels).any() else region.part
    alike = similarity(a.grey, brightness(np.asarray(gain * laid + offset, np.float32)))
    alignment = Alignment(
        inliers=int(((placement.support + 0.5 >= low) & (placement.support + 0.5 <= high)).all(axis=1).sum()),
        aligned_distance=float(np.sqrt(off[pixels].mean())),
        overlap_a=float(shared.mean()),
        overlap_b=min(1.0, float(shared.mean() * area[shared].mean()) * width * height / (rows * columns)),
        region_a=box(low / size, high / size),
        region_b=box(on_b.min(axis=0) / [columns, rows], on_b.max(axis=0) / [columns, rows]),
        mirrored=bool(np.linalg.det(placement.onto) < 0),
        cells=int(region.inner.sum()),
        agreement=float(region.agreeing[region.inner].mean()),
        solid=region.solid,
        geometry=placement.geometry,
        homography=fractions(placement.onto, (rows, columns), (height, width)),
        tile_l2=float(np.sqrt(max(tiles(off, pixels)))),
        masked_mse=float(squares(a.colour, laid, *exposure(mine[kept], theirs[kept]))[pixels_of(kept, pixels)].mean()),
        structural_similarity=float(alike[pixels].mean()),
    )
    if not alignment.doubted(limits):
        return alignment
    return replace(alignment, moved=moved(a.grey, brightness(laid), inside, shared, limits))


def brightness(colours: Array) -> Array:
    """Return the smoothed brightness of a picture: (h, w, 3) in, (h, w) out."""
    return cv2.GaussianBlur(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), (0, 0), SMOOTH)


def pixels_of(mask: Mask, inside: Mask) -> Mask:
    """Return the pixels of a mask of cells that are inside.

    Args:
        mask: Of the cells.
        inside: Of the pixels.
    """
    height, width = inside.shape
    return inside & (cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def _solid(agreeing: Mask, filled: Mask) -> int:
    """Count the agreeing cells of the largest piece without thin parts. Flat cells connect it."""
    opened = cv2.morphologyEx(filled.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, label = cv2.connectedComponents(opened, connectivity=4)
    return max((int((agreeing & (label == piece)).sum()) for piece in range(1, count)), default=0)


def fractions(onto: Array, source: tuple[int, int], target: tuple[int, int]) -> tuple[float, ...]:
    """Convert a map between pixel centres into one between fractions of the pictures, with the origin in a corner.

    Args:
        onto: Of shape (3, 3), of the source to the target.
        source: Height and width of the mapped picture.
        target: Those of the other.
    """
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    between = np.diag([1 / target[1], 1 / target[0], 1]) @ half @ onto
    between = between @ np.linalg.inv(half) @ np.diag([source[1], source[0], 1])
    return tuple((between / between[2, 2]).ravel().tolist())


def box(low: Array, high: Array) -> Box:
    """Return the box between two corners, cut off at the edges of the picture.

    Args:
        low: The top left corner, x and y, in fractions of the picture.
        high: The bottom right one.
    """
    (x, y), (right, bottom) = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return Box(float(x), float(y), float(right - x), float(bottom - y))
