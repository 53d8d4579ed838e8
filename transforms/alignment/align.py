"""Confirming by pixels that a picture shows another picture, or part of it.

What belongs here: laying one picture over another and finding the region they share. What does not: what is computed of
one picture (`alignment/keypoints.py`), placements of laying (`alignment/geometry.py`), measuring agreement
(`alignment/agreement.py`), how much of it is enough (`alignment/policy.py`), finding candidates worth the look,
decoding files.

How it works. SIFT keypoints (Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 60, 2004) of
both pictures are matched and a map is fitted to the matches. Points alone prove little: a watermark, or two
photographs of one facade, bring points together too. So b is laid over a and compared cell by cell by normalised
correlation, which no change of brightness or contrast moves. The region is the rectangle whose cells agree most and
disagree least, and what lies inside it decides. Cells without structure, such as sky, are no evidence.
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
from transforms.alignment.geometry import Placement, mapped, placements
from transforms.alignment.keypoints import LEAST, SMOOTH, Features
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.regions import Box

_EQUAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def align(a: Features, b: Features, limits: PixelLimits) -> Alignment | None:
    """Lay b over a, plain and mirrored, and measure the region where they agree best.

    None where no way of laying b over a makes anything agree, or a side has fewer than 16 pixels. Both features
    must come from the same limits. Deterministic: OpenCV's RANSAC starts from a constant seed.
    """
    if min(a.grey.shape + b.grey.shape) < LEAST:
        return None
    if np.array_equal(a.colour, b.colour):
        page, count = Box(0.0, 0.0, 1.0, 1.0), a.grey.size // CELL**2
        points = len(a.points)
        return Alignment(points, 0.0, 1.0, 1.0, page, page, False, count, 1.0, count, "equal", _EQUAL, 0.0, 0.0, 1.0)
    if max(b.grey.shape) < max(a.grey.shape):  # enlarged, it would lack the other's fine structure
        found = align(b, a, limits)
        return found and _turned(found)
    if a.colourless != b.colourless:  # a copy in grey has the source's brightness, and nothing of its colours
        a, b = _grey(a), _grey(b)
    best: Alignment | None = None
    for way in placements(a, b, limits):
        found = _measure(a, b, way, limits)
        if found and found.copied(limits):
            return found
        if found and (best is None or _rank(found, limits) > _rank(best, limits)):
            best = found
    return best


def _turned(found: Alignment) -> Alignment:
    """Return what laying a over b measured as laying b over a."""
    back = np.linalg.inv(np.reshape(found.homography, (3, 3)))
    return replace(
        found,
        overlap_a=found.overlap_b,
        overlap_b=found.overlap_a,
        region_a=found.region_b,
        region_b=found.region_a,
        homography=tuple((back / back[2, 2]).ravel().tolist()),
    )


def _rank(found: Alignment, limits: PixelLimits) -> tuple[bool, float]:
    return found.confirmed(limits), found.agreement * found.cells


def _grey(picture: Features) -> Features:
    brightness = cv2.cvtColor(picture.colour, cv2.COLOR_RGB2GRAY)
    return replace(picture, colour=cv2.cvtColor(brightness, cv2.COLOR_GRAY2RGB))


def _laid(b: Features, onto: Array, size: tuple[int, int], enlarged: float) -> tuple[Array, Array, Array]:
    """Lay b over a picture of `size`, width and height, that was enlarged so many times.

    Returns its colours there, (h, w, 3); how much of each pixel it covers, (h, w); and for each cell the area of b that
    lies under a pixel.
    """
    rows, columns = b.grey.shape
    centre = mapped(onto, np.array([[columns / 2, rows / 2]]))[0]
    near = float(np.array([columns / 2, rows / 2]) @ onto[2, :2] + onto[2, 2])
    scale = float(np.sqrt(abs(np.linalg.det(onto[:2, :2] - np.outer(centre, onto[2, :2])))) / near)
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


@dataclass(frozen=True)
class _Region:
    """The rectangle of a that b agrees with, as masks of cells: all of it, what counts as evidence, what agrees."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    part: Mask
    inner: Mask
    agreeing: Mask
    solid: int


def _region(a: Features, laid: Array, inside: Array, limits: PixelLimits) -> _Region | None:
    """Find the rectangle in which the cells of two pictures of one size agree most and disagree least."""
    grey = cv2.GaussianBlur(cv2.cvtColor(laid, cv2.COLOR_RGB2GRAY), (0, 0), SMOOTH)
    alike, drift, structured, covered = likeness(a.grey, grey, inside, limits.structure, limits.likeness)
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
    return _Region((top, bottom), (left, right), part, inner, agreeing & part, solid) if inner.any() else None


def _measure(a: Features, b: Features, way: Placement, limits: PixelLimits) -> Alignment | None:
    """Lay b over a by one map and measure the region that they share."""
    height, width = a.grey.shape
    rows, columns = b.grey.shape
    laid, inside, area = _laid(b, way.onto, (width, height), a.enlarged)
    found = _region(a, laid, inside, limits)
    if found is None:
        return None
    pixels = _pixels(found.part, inside > 0.99)
    if not pixels.any():
        return None
    # The region reaches one cell further than the cells that agree, see there.
    covered, shared = cells(inside) > 0.5, np.zeros_like(found.part)
    (top, bottom), (left, right) = found.rows, found.columns
    top, bottom, left, right = max(top - 1, 0), bottom + 1, max(left - 1, 0), right + 1
    shared[top:bottom, left:right] = covered[top:bottom, left:right]
    steps, size = np.array([width / covered.shape[1], height / covered.shape[0]]), np.array([width, height])
    low, high = np.array([left, top]) * steps, np.minimum(np.array([right, bottom]) * steps, size)
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    there = mapped(np.linalg.inv(way.onto), corners - 0.5) + 0.5

    mine, theirs = cells(a.colour), cells(laid)
    gain, offset = exposure(mine[found.part], theirs[found.part])
    off = squares(a.colour, laid, gain, offset)
    kept = found.agreeing if _pixels(found.agreeing, pixels).any() else found.part
    brought = cv2.cvtColor(np.asarray(gain * laid + offset, np.float32), cv2.COLOR_RGB2GRAY)
    alike = similarity(a.grey, np.asarray(cv2.GaussianBlur(brought, (0, 0), SMOOTH)))
    return Alignment(
        inliers=int(((way.support + 0.5 >= low) & (way.support + 0.5 <= high)).all(axis=1).sum()),
        aligned_distance=float(np.sqrt(off[pixels].mean())),
        overlap_a=float(shared.mean()),
        overlap_b=min(1.0, float(shared.mean() * area[shared].mean()) * width * height / (rows * columns)),
        region_a=_box(low / size, high / size),
        region_b=_box(there.min(axis=0) / [columns, rows], there.max(axis=0) / [columns, rows]),
        mirrored=bool(np.linalg.det(way.onto) < 0),
        cells=int(found.inner.sum()),
        agreement=float(found.agreeing[found.inner].mean()),
        solid=found.solid,
        geometry=way.geometry,
        homography=_fractions(way.onto, (rows, columns), (height, width)),
        tile_l2=float(np.sqrt(max(tiles(off, pixels)))),
        masked_mse=float(squares(a.colour, laid, *exposure(mine[kept], theirs[kept]))[_pixels(kept, pixels)].mean()),
        structural_similarity=float(alike[pixels].mean()),
    )


def _pixels(mask: Mask, inside: Mask) -> Mask:
    """Return the pixels of a mask of cells that are inside."""
    height, width = inside.shape
    return inside & (cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def _solid(agreeing: Mask, filled: Mask) -> int:
    """Count the agreeing cells of the largest piece that is nowhere thin; flat cells tie it together."""
    opened = cv2.morphologyEx(filled.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, label = cv2.connectedComponents(opened, connectivity=4)
    return max((int((agreeing & (label == piece)).sum()) for piece in range(1, count)), default=0)


def _fractions(onto: Array, source: tuple[int, int], target: tuple[int, int]) -> tuple[float, ...]:
    """Return a map between pixel centres as one between fractions of the pictures, whose origin is a corner."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    made = np.diag([1 / target[1], 1 / target[0], 1]) @ half @ onto
    made = made @ np.linalg.inv(half) @ np.diag([source[1], source[0], 1])
    return tuple((made / made[2, 2]).ravel().tolist())


def _box(low: Array, high: Array) -> Box:
    (x, y), (right, bottom) = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return Box(float(x), float(y), float(right - x), float(bottom - y))
