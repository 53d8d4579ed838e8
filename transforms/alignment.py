"""Confirming by pixels that a picture shows another picture, or part of it.

What belongs here: local features, the geometry between two pictures, and how much agreement confirms one. What does
not: measuring agreement (`agreement.py`), finding candidates worth the look, naming a verdict, decoding files.

How it works. SIFT keypoints (Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 60, 2004) of
both pictures are matched and an affine map is fitted to the matches. Points alone prove little: a watermark, or two
photographs of one facade, bring points together too. So b is laid over a and compared cell by cell by normalised
correlation, which no change of brightness or contrast moves. The region is the rectangle whose cells agree most and
disagree least, and what lies inside it decides. Cells without structure, such as sky, are no evidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from transforms.agreement import CELL, TINY, Array, cells, exposure, likeness, rectangle

_LEAST = 2 * CELL  # pixels: a side below this holds no cell that is not border
_SMOOTH = 2.0  # pixels: averages noise and misalignments of a pixel away before structure is compared
_THUMB = 32  # pixels a side
_SAME = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

# Mirrored, a patch has the same SIFT descriptor with its 4 rows reversed and its 8 directions counted backwards:
# mirrored copies cost a second matching, not a second detection.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8)].ravel()


@dataclass(frozen=True)
class Limits:
    """Every threshold of the confirmation. Pixels are those of the reduced picture, values lie in [0,1]."""

    long_side: int = 320  # pixels: pictures are brought to this size first
    keypoints: int = 600  # strongest kept a picture
    ratio: float = 0.8  # nearest over second-nearest descriptor distance (Lowe's test)
    reprojection: float = 3.0  # pixels between a point and its mapped match
    stretch: float = 4.0  # largest change of scale, either way
    structure: float = 0.015  # standard deviation from which a cell is evidence
    likeness: float = 0.95  # correlation from which a cell agrees
    gain: float = 0.3  # how far its contrast may stray from the common one, natural logarithm
    colour: float = 0.05  # how far its mean colour may lie off, after one gain and offset a channel
    inliers: int = 4  # matches inside the region
    cells: int = 90  # cells with structure inside the region: a line of text has fewer
    cells_whole: int = 40  # the same for the whole picture, which may be mostly sky
    agreement: float = 0.75  # share of those cells that agree
    agreement_whole: float = 0.55  # the same for the whole picture with inliers: a watermark may cover the rest
    aligned_distance: float = 0.1  # l2 after alignment
    larger_share: float = 0.28  # region's share of the picture it fills more: a shared logo or banner is no copy
    smaller_share: float = 0.08  # region's share of the other picture
    whole_share: float = 0.8  # share of both pictures that counts as the whole


@dataclass(frozen=True)
class Box:
    """A rectangle in fractions of a picture, 0..1, origin top left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Features:
    """What `align` needs of one picture, computed once and reused over its candidates."""

    colour: Array  # (h, w, 3), the reduced picture, values in [0,1]
    grey: Array  # (h, w), smoothed
    points: Array  # (n, 2), x and y in its pixels
    descriptors: Array  # (n, 128), unit length
    thumb: Array  # (32, 32), unit length, coarse structure


@dataclass(frozen=True)
class Alignment:
    """How b lies over a and how well the two agree there: evidence, which `confirmed` weighs."""

    inliers: int  # matches inside the region
    aligned_distance: float  # l2 over the region, values in [0,1], after one gain and offset a channel
    overlap_a: float  # the region's share of each picture
    overlap_b: float
    region_a: Box  # where it lies on each
    region_b: Box
    mirrored: bool
    homography: tuple[float, ...]  # 9 numbers, row by row: from b to a, both in fractions from the top left corner
    cells: int  # cells with structure in the region, its edge left out
    agreement: float  # the share of them that agree

    def confirmed(self, limits: Limits) -> bool:
        """Tell whether the region shows the same picture on both sides."""
        matched, whole = self.inliers >= limits.inliers, self.whole(limits)
        if whole and self.aligned_distance == 0:
            return True  # not a pixel differs: even a flat picture equals itself
        return (
            (matched or whole)
            and self.cells >= (limits.cells_whole if whole else limits.cells)
            and self.agreement >= (limits.agreement_whole if matched and whole else limits.agreement)
            and self.aligned_distance <= limits.aligned_distance
            and max(self.overlap_a, self.overlap_b) >= limits.larger_share
            and min(self.overlap_a, self.overlap_b) >= limits.smaller_share
        )

    def whole(self, limits: Limits) -> bool:
        """Tell whether the region is the whole of both pictures."""
        return min(self.overlap_a, self.overlap_b) >= limits.whole_share


def features(picture: npt.NDArray[np.uint8], limits: Limits) -> Features:
    """Reduce a picture and find its keypoints.

    picture: uint8 of shape (h, w, 3), RGB, at least one pixel. Raises ValueError for anything else.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(f"a picture must be uint8 of shape (h, w, 3), not {picture.dtype} of {picture.shape}")
    height, width = picture.shape[:2]
    scale = limits.long_side / max(height, width)
    if min(height, width) < _LEAST:
        scale = min(scale, 1.0)  # enlarging a few pixels would make a picture of nothing
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    sharp = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    # A low contrast threshold: sky and sea have few points, and the strongest are kept in any case.
    sift = cv2.SIFT.create(limits.keypoints, contrastThreshold=0.01, enable_precise_upscale=True)
    found, described = sift.detectAndCompute(sharp, None) if min(size) >= _LEAST else ((), None)
    descriptors = np.zeros((0, 128), np.float32) if described is None else described
    # RootSIFT: Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval", 2012.
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), TINY))
    grey = cv2.GaussianBlur(sharp.astype(np.float32) / 255, (0, 0), _SMOOTH)
    thumb = cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA)
    thumb -= cv2.GaussianBlur(thumb, (0, 0), _THUMB / 8)
    thumb /= max(float(np.linalg.norm(thumb)), TINY)
    points = np.array([p.pt for p in found], np.float32).reshape(-1, 2)
    return Features(small.astype(np.float32) / 255, grey, points, descriptors, thumb)


def align(a: Features, b: Features, limits: Limits) -> Alignment | None:
    """Lay b over a, plain and mirrored, and measure the region where they agree best.

    None where no way of laying b over a makes anything agree, or a side has fewer than 16 pixels. Both features
    must come from the same limits. Deterministic: OpenCV's RANSAC starts from a constant seed.
    """
    if min(a.grey.shape + b.grey.shape) < _LEAST:
        return None
    if np.array_equal(a.colour, b.colour):
        page = Box(0.0, 0.0, 1.0, 1.0)
        return Alignment(len(a.points), 0.0, 1.0, 1.0, page, page, False, _SAME, a.grey.size // CELL**2, 1.0)
    best: Alignment | None = None
    for onto, support in _maps(a, b, limits):
        found = _measure(a, b, onto, support, limits)
        if found and found.confirmed(limits):
            return found
        if found and (best is None or found.agreement * found.cells > best.agreement * best.cells):
            best = found
    return best


def _maps(a: Features, b: Features, limits: Limits) -> Iterator[tuple[Array, Array]]:
    """Yield ways of laying b over a: affine maps of shape (2, 3), and the points of a, (n, 2), that support each."""
    matches = [_matches(a, b, turned, limits) for turned in (b.descriptors, b.descriptors[:, _MIRROR])]
    for source, target in sorted(matches, key=lambda m: -len(m[0])):
        if len(source) < limits.inliers:
            break
        # All six degrees of freedom: a picture squeezed to a square is still a copy.
        onto, _ = cv2.estimateAffine2D(source, target, ransacReprojThreshold=limits.reprojection)
        if onto is not None:
            longest, shortest = np.linalg.svd(onto[:, :2], compute_uv=False)
            support = _support(onto, source, target, limits)
            plausible = longest <= min(limits.stretch, 2 * shortest) and shortest >= 1 / limits.stretch
            if plausible and len(support) >= limits.inliers:
                yield onto, support
    # Smooth or heavily edited pictures have few points; whole copies of them lie edge on edge.
    (height, width), (rows, columns) = a.grey.shape, b.grey.shape
    x, y = width / columns, height / rows
    for matched, thumb, way in (matches[0], b.thumb, 1), (matches[1], b.thumb[:, ::-1], -1):
        if float(np.vdot(a.thumb, thumb)) > 0.5:
            start = 0.5 * x - 0.5 if way > 0 else width - 0.5 * x - 0.5
            onto = np.array([[way * x, 0, start], [0, y, 0.5 * y - 0.5]])
            yield onto, _support(onto, *matched, limits)


def _matches(a: Features, b: Features, descriptors: Array, limits: Limits) -> tuple[Array, Array]:
    """Points of b and of a, each (n, 2), whose descriptors are nearest by a clear margin."""
    if min(len(a.points), len(b.points)) < 2:
        return b.points[:0], a.points[:0]
    likeness = a.descriptors @ descriptors.T  # of unit vectors: distance² = 2 - 2 likeness
    rows, nearest = np.arange(len(likeness)), likeness.argmax(axis=1)
    first = likeness[rows, nearest]
    likeness[rows, nearest] = -1
    clear = 1 - first < limits.ratio**2 * (1 - likeness.max(axis=1))
    return b.points[nearest[clear]], a.points[clear]


def _support(onto: Array, source: Array, target: Array, limits: Limits) -> Array:
    """Points of a whose match is mapped onto them, once a place: SIFT repeats a point for each of its directions."""
    near = np.linalg.norm(source @ onto[:, :2].T + onto[:, 2] - target, axis=1) <= limits.reprojection
    places = np.round(np.hstack([source[near], target[near]]) / 2)
    return target[near][np.unique(places, axis=0, return_index=True)[1]]


def _measure(a: Features, b: Features, onto: Array, support: Array, limits: Limits) -> Alignment | None:
    """Lay b over a by one map and find the rectangle of a that they share."""
    height, width = a.grey.shape
    rows, columns = b.grey.shape
    scale = float(np.sqrt(abs(np.linalg.det(onto[:, :2]))))
    # Shrinking b without smoothing it first would alias.
    source = cv2.GaussianBlur(b.colour, (0, 0), 0.5 / scale) if scale < 0.7 else b.colour
    laid = cv2.warpAffine(source, onto, (width, height), borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones_like(b.grey), onto, (width, height))
    grey = cv2.GaussianBlur(cv2.cvtColor(laid, cv2.COLOR_RGB2GRAY), (0, 0), _SMOOTH)
    alike, drift, structured, covered = likeness(a.grey, grey, inside, limits.structure, limits.likeness)
    agreeing = structured & (alike >= limits.likeness) & (drift <= limits.gain)
    if not agreeing.any():
        return None
    mine, theirs = cells(a.colour), cells(laid)
    gain, offset = exposure(mine[agreeing], theirs[agreeing])
    apart = np.abs(mine - gain * theirs - offset).max(axis=2)
    agreeing &= apart <= limits.colour
    # An evident cell counts for or against; a flat one tips the edge of a region, no more.
    votes = np.clip(np.minimum((alike - 0.7) / 0.25, 2 - 2 * drift / limits.gain), -1, 1)
    votes = np.where(structured, votes, np.clip(0.25 - 8 * apart, -0.5, 0.25))
    top, bottom, left, right = rectangle(np.where(covered, votes, -1.0))
    part, region = np.zeros_like(covered), np.zeros_like(covered)
    part[top:bottom, left:right] = covered[top:bottom, left:right]
    # A cell's correlation looks one cell around it. So the outermost cells of the part see what lies beyond and say
    # nothing, and the region reaches one cell further than the cells that agree.
    inner = structured & (cv2.erode(part.astype(np.uint8), np.ones((3, 3))) > 0)
    top, bottom, left, right = max(top - 1, 0), bottom + 1, max(left - 1, 0), right + 1
    region[top:bottom, left:right] = covered[top:bottom, left:right]
    pixels = cv2.resize(part.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    pixels &= inside > 0.99
    if not (inner.any() and pixels.any()):
        return None
    gain, offset = exposure(mine[part], theirs[part])
    steps, size = np.array([width / covered.shape[1], height / covered.shape[0]]), np.array([width, height])
    low, high = np.array([left, top]) * steps, np.minimum(np.array([right, bottom]) * steps, size)
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    back = cv2.invertAffineTransform(onto)
    there = (corners - 0.5) @ back[:, :2].T + back[:, 2] + 0.5
    overlap = float(region.mean())
    return Alignment(
        inliers=int(((support + 0.5 >= low) & (support + 0.5 <= high)).all(axis=1).sum()),
        aligned_distance=float(np.sqrt(np.mean((a.colour[pixels] - gain * laid[pixels] - offset) ** 2))),
        overlap_a=overlap,
        overlap_b=min(1.0, overlap * width * height / (scale**2 * rows * columns)),
        region_a=_box(low / size, high / size),
        region_b=_box(there.min(axis=0) / [columns, rows], there.max(axis=0) / [columns, rows]),
        mirrored=bool(np.linalg.det(onto[:, :2]) < 0),
        homography=_fractions(onto, (width, height), (columns, rows)),
        cells=int(inner.sum()),
        agreement=float(agreeing[inner].mean()),
    )


def _fractions(onto: Array, onto_size: tuple[int, int], from_size: tuple[int, int]) -> tuple[float, ...]:
    """Return an affine map of pixel centres, (2, 3), as one of fractions of the two pictures; sizes: width, height."""
    a, b = (np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1]]) for width, height in (onto_size, from_size))
    return tuple((np.linalg.inv(a) @ np.vstack([onto, [0, 0, 1]]) @ b).ravel().tolist())


def _box(low: Array, high: Array) -> Box:
    (x, y), (right, bottom) = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return Box(float(x), float(y), float(right - x), float(bottom - y))
