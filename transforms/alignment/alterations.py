"""Laying a picture over another that may be an altered copy of it, and measuring what agrees.

What belongs here: the map that the clearest matches agree on, a smooth displacement beyond it, fitting colours and
light, counting what agrees. What does not: how much agreement is enough (`alignment/alteration_policy.py`), the strict
measurement, which comes first (`alignment/align.py`).

The displacement is the optical flow of `alignment/flow.py`, averaged and cut off: what is left of it is smooth.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from transforms.alignment.agreement import CELL, TINY, Array, Mask, cells, levelled, likeness
from transforms.alignment.align import box, brightness, fractions, lay, pixels_of, turned
from transforms.alignment.alteration_policy import PLACED, Alteration, AlterationLimits
from transforms.alignment.flow import displaced, displacement
from transforms.alignment.geometry import map_points, plausible
from transforms.alignment.keypoints import LEAST, MIRROR, SMOOTH, Features, nearest
from transforms.alignment.policy import PixelLimits

_COARSE = 0.6  # scale of a map of b to a below which a is laid over b: the smaller has too few cells
_ALIKE = 0.5  # correlation of coarse structure from which pictures are laid edge on edge
_BETTER = 1.1  # times the support of an affine map, from which a homography explains more than noise
_STEPS = 3  # refinements of a map
_SURE = 0.9  # correlation of the cells that colours are fitted to
_DARK = 0.15  # sum of the channels below which shares of them are noise
_FITTED = 20  # cells that a map of colours needs


@dataclass(frozen=True)
class _Matches:
    """Matched features. source: of b, (n, 2). target: of a, (n, 2). clear: which of them are clear, (n,)."""

    source: Array
    target: Array
    clear: Mask

    def off(self, onto: Array) -> Array:
        """Return how far each lies from its mapped place, in pixels of a."""
        return np.asarray(np.linalg.norm(map_points(onto, self.source) - self.target, axis=1))


@dataclass(frozen=True)
class _Map:
    """A map of b to a.

    Attributes:
        geometry: Its kind.
        onto: Of shape (3, 3).
        near: Which matches lie within the largest distance of it.
        exact: Which clear matches lie exactly in place.
    """

    geometry: str
    onto: Array
    near: Mask
    exact: Mask


def find_alteration(a: Features, b: Features, limits: PixelLimits, looser: AlterationLimits) -> Alteration | None:
    """Lay b over a by the map that the clearest matches agree on, and measure what agrees.

    Deterministic: OpenCV's RANSAC starts from a constant seed.

    Args:
        a: Features of a picture.
        b: Features of another, by the same limits.
        limits: Those of the strict confirmation.
        looser: Those of the second.

    Returns:
        None if too few features agree and the pictures are not coarsely alike, or a side has fewer than 16 pixels.
    """
    if min(a.grey.shape + b.grey.shape) < LEAST:
        return None
    if max(b.grey.shape) < max(a.grey.shape):
        alteration = find_alteration(b, a, limits, looser)
        return alteration and turned(alteration)
    matched = max((_matched(a, b, d, looser) for d in (b.descriptors, b.descriptors[:, MIRROR])), key=_count)
    mapped = _mapped(matched, a, b, limits, looser)
    alteration = _laid(a, b, mapped, matched, limits, looser) if mapped else None
    # Tiny pictures have few matches, and a map of these lies a little beside the edges, where pixels are few.
    unsure = alteration is not None and alteration.matches < looser.matches and not alteration.confirmed(looser)
    if mapped is not None and not unsure:
        return alteration
    placed = _placed(matched, a, b)
    straight = _laid(a, b, placed, matched, limits, looser) if placed else None
    return straight if alteration is None or (straight and straight.confirmed(looser)) else alteration


def _laid(
    a: Features, b: Features, found: _Map, matched: _Matches, limits: PixelLimits, looser: AlterationLimits
) -> Alteration | None:
    """Lay b over a, or a over b where b is far larger, and measure what agrees."""
    spans = [_spanned(points[found.exact], picture) for points, picture in ((matched.target, a), (matched.source, b))]
    clear = int((found.near & matched.clear).sum())
    counts = int(found.near.sum()), int(found.exact.sum()), int(found.exact.sum()) / max(clear, 1), max(spans)
    back = np.linalg.inv(found.onto)
    back /= back[2, 2]
    # The way back of a map may fold the other picture, though the map folds neither.
    if abs(np.linalg.det(found.onto[:2, :2])) < _COARSE**2 and plausible(back, a.grey.shape, limits):
        alteration = _measure(b, a, replace(found, onto=back), counts, limits, looser)
        return alteration and turned(alteration)
    return _measure(a, b, found, counts, limits, looser)


def _count(matched: _Matches) -> int:
    return len(matched.source)


def _matched(a: Features, b: Features, descriptors: Array, looser: AlterationLimits) -> _Matches:
    """Match b's features to a's, each pair of places once."""
    if min(len(a.points), len(b.points)) < 2:
        return _Matches(b.points[:0], a.points[:0], np.zeros(0, np.bool_))
    of_b, first, second = nearest(a, descriptors)
    kept = np.flatnonzero(1 - first < looser.ratio**2 * (1 - second))
    source, target = b.points[of_b[kept]], a.points[kept]
    once = np.unique(np.round(np.hstack([source, target]) / 2), axis=0, return_index=True)[1]
    clear = (1 - first < looser.ratio_clear**2 * (1 - second))[kept]
    return _Matches(source[once], target[once], clear[once])


def _mapped(matched: _Matches, a: Features, b: Features, limits: PixelLimits, looser: AlterationLimits) -> _Map | None:
    """Return the affine map, or the homography where more matches agree on it; None where too few do."""
    if len(matched.source) < looser.gate:
        return None
    most, best, support = looser.displacement * max(a.grey.shape), None, 0.0
    source, target = matched.source, matched.target
    for geometry in ("affine", "homography"):
        if geometry == "affine":
            flat, _ = cv2.estimateAffine2D(source, target, ransacReprojThreshold=most / 2, maxIters=500)
            onto = None if flat is None else np.vstack([flat, [0, 0, 1]])
        else:
            onto, _ = cv2.findHomography(source, target, cv2.RANSAC, most / 2, maxIters=300, confidence=0.99)
        if onto is None:
            continue
        onto = _refined(onto, matched, geometry, most)
        if not np.isfinite(onto).all() or not plausible(onto, b.grey.shape, limits):
            continue
        off = matched.off(onto)
        near = off <= most
        unit = max(1.0, float(np.sqrt(abs(np.linalg.det(onto[:2, :2])))) ** -1)  # a pixel of the smaller is larger
        exact = matched.clear & (off * unit <= looser.exact)
        counted = near.sum() + exact.sum() / 2
        if near.sum() >= looser.gate and counted > _BETTER * support:
            best, support = _Map(geometry, onto, near, exact), float(counted)
        if near.sum() > len(near) / _BETTER:
            break
    return best


def _refined(onto: Array, matched: _Matches, geometry: str, most: float) -> Array:
    """Fit a map again to the matches that it explains well."""
    for _ in range(_STEPS):
        off = matched.off(onto)
        near = off <= most
        if not near.any():
            return onto
        kept = off <= max(1.0, 2.5 * float(np.median(off[near])))
        if kept.sum() < 6:
            return onto
        source, target = matched.source[kept], matched.target[kept]
        if geometry == "affine":
            flat, _ = cv2.estimateAffine2D(source, target, method=cv2.LMEDS)
            better = None if flat is None else np.vstack([flat, [0, 0, 1]])
        else:
            better, _ = cv2.findHomography(source, target, 0)
        if better is None:
            return onto
        onto = better
    return onto


def _placed(matched: _Matches, a: Features, b: Features) -> _Map | None:
    """Lay pictures that are coarsely alike edge on edge: a painted copy has few features in common with its source."""
    if float(np.vdot(a.thumb, b.thumb)) <= _ALIKE:
        return None
    (height, width), (rows, columns) = a.grey.shape, b.grey.shape
    x, y = width / columns, height / rows
    none = np.zeros(len(matched.source), np.bool_)
    return _Map(PLACED, np.array([[x, 0, 0.5 * x - 0.5], [0, y, 0.5 * y - 0.5], [0, 0, 1]]), none, none)


def _spanned(points: Array, picture: Features) -> float:
    """Return the share of a picture within the convex hull of points."""
    if len(points) < 3:
        return 0.0
    return float(cv2.contourArea(cv2.convexHull(points.astype(np.float32)))) / picture.grey.size


def _measure(
    a: Features,
    b: Features,
    found: _Map,
    counts: tuple[int, int, float, float],
    limits: PixelLimits,
    looser: AlterationLimits,
) -> Alteration | None:
    """Lay b over a and measure what agrees. None where nothing is covered."""
    (height, width), (rows, columns) = a.grey.shape, b.grey.shape
    laid, inside, area = lay(b, found.onto, (width, height), a.enlarged)
    covered = cells(inside) > 0.5
    # A cell's correlation looks one cell around it: at the edge of what is covered it says nothing.
    inner = cv2.erode((cells(inside) > 0.99).astype(np.uint8), np.ones((3, 3))) > 0
    if not inner.any():
        return None
    # Features prove more than a gradient; without them, what a gradient leaves has to agree.
    bare = found.geometry == PLACED
    in_place = _Cells.of(a, brightness(laid), inside, inner, limits, bare=bare)
    flow = _flow(a, laid, inside, looser)
    moved, still = displaced(laid, flow), displaced(inside, flow)
    after = _Cells.of(a, brightness(moved), still, inner, limits, bare=bare)
    fitted = _Cells.of(a, _fitted(a, moved, inner), still, inner, limits, bare=bare)
    if fitted.share(looser.likeness) > after.share(looser.likeness):
        after = fitted
    within = pixels_of(inner, inside > 0.99)
    bent = _slopes(flow)[within]
    colours = _Colours.of(a, laid, inside, in_place, looser)
    size = np.array([width, height])
    down, across = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
    low = np.array([across[0], down[0]]) * CELL
    high = np.minimum(np.array([across[-1] + 1, down[-1] + 1]) * CELL, size)
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    on_b = map_points(np.linalg.inv(found.onto), corners - 0.5) + 0.5
    return Alteration(
        *counts,
        overlap_a=float(covered.mean()),
        overlap_b=min(1.0, float(covered.mean() * area[covered].mean()) * width * height / (rows * columns)),
        region_a=box(low / size, high / size),
        region_b=box(on_b.min(axis=0) / [columns, rows], on_b.max(axis=0) / [columns, rows]),
        mirrored=bool(np.linalg.det(found.onto) < 0),
        geometry=found.geometry,
        homography=fractions(found.onto, (rows, columns), (height, width)),
        cells=in_place.count,
        in_place=in_place.share(looser.likeness),
        in_place_closely=in_place.share(looser.likeness_close),
        related=in_place.share(looser.likeness_related),
        agreement=after.share(looser.likeness),
        agreement_closely=after.share(looser.likeness_close),
        displacement=_root(flow[within] ** 2) * 2**0.5 / max(height, width),
        roughness=_root(bent) * 2**0.5,
        kept=colours.kept,
        colour_change=colours.change,
        light_change=colours.light,
        aligned_distance=_distance(a, moved, inner),
        room=int(inner.sum()),
    )


@dataclass(frozen=True)
class _Cells:
    """The correlation of the cells of two planes, and which of them have structure, at the edge or not."""

    correlation: Array
    structured: Mask
    counted: Mask

    @classmethod
    def of(cls, a: Features, plane: Array, inside: Array, inner: Mask, limits: PixelLimits, *, bare: bool) -> "_Cells":
        """Compare a with a plane of its size. bare: no features match, and gradients over all of it do not count."""
        mine, theirs = (levelled(a.grey), levelled(plane)) if bare else (a.grey, plane)
        correlation, _, structured, _ = likeness(mine, theirs, inside, limits.structure, 1.0)
        return cls(correlation, structured, structured & inner)

    @property
    def count(self) -> int:
        """How many cells count."""
        return int(self.counted.sum())

    def share(self, least: float) -> float:
        """Return the share of cells whose correlation is at least `least`."""
        return float((self.correlation[self.counted] >= least).mean()) if self.counted.any() else 0.0


def _flow(a: Features, laid: Array, inside: Array, looser: AlterationLimits) -> Array:
    """Return by how much what is laid over a is displaced at each pixel: (h, w, 2), smooth and bounded."""
    flow = displacement(a.grey, brightness(laid))
    side = max(a.grey.shape)
    weight = (inside > 0.99).astype(np.float32)
    spread = cv2.GaussianBlur(weight, (0, 0), looser.smooth * side)
    flow = cv2.GaussianBlur(flow * weight[:, :, None], (0, 0), looser.smooth * side)
    flow = flow / np.maximum(spread, 1e-3)[:, :, None]
    length = np.linalg.norm(flow, axis=2, keepdims=True)
    return np.asarray(flow * np.minimum(1, looser.displacement * side / np.maximum(length, TINY)), np.float32)


def _slopes(flow: Array) -> Array:
    """Return the squares of the derivatives of a flow at each pixel, those of a component together: (h, w, 2)."""
    return np.asarray(np.gradient(flow, axis=0) ** 2 + np.gradient(flow, axis=1) ** 2)


def _powers(colours: Array) -> Array:
    """Return the monomials of colours up to the second degree: (..., 10)."""
    red, green, blue = np.moveaxis(colours, -1, 0)
    squares = red * red, green * green, blue * blue, red * green, green * blue, blue * red
    return np.stack([np.ones_like(red), red, green, blue, *squares], axis=-1)


def _fitted(a: Features, laid: Array, inner: Mask) -> Array:
    """Return the brightness that one smooth map of colours gives to what is laid over a, closest to that of a."""
    weights = _weights(_powers(cells(laid))[inner], cells(a.grey)[inner])
    return cv2.GaussianBlur((_powers(laid) @ weights).astype(np.float32), (0, 0), SMOOTH)


def _weights(terms: Array, values: Array) -> Array:
    """Return the weights of terms, (n, k), whose sum comes closest to values, by a few normal equations."""
    terms = terms.astype(np.float64)
    return np.linalg.solve(terms.T @ terms + TINY * len(terms) * np.eye(terms.shape[1]), terms.T @ values)


def _affine(colours: Array) -> Array:
    return np.concatenate([colours, np.ones_like(colours[..., :1])], axis=-1)


def _root(squares: Array) -> float:
    return float(squares.mean()) ** 0.5 if squares.size else 0.0


def _distance(a: Features, laid: Array, inner: Mask) -> float:
    """Return the root mean square difference of the colours of cells after one affine map of colours."""
    mine, theirs = cells(a.colour)[inner], _affine(cells(laid)[inner])
    weights = _weights(theirs, mine)
    return _root((mine - theirs @ weights) ** 2)


@dataclass(frozen=True)
class _Colours:
    """What became of the colours. See `Alteration`."""

    kept: float
    change: float
    light: float

    @classmethod
    def of(cls, a: Features, laid: Array, inside: Array, found: _Cells, looser: AlterationLimits) -> "_Colours":
        """Fit maps of colours and of light to the cells that surely agree."""
        sure = found.counted & (found.correlation >= _SURE)
        if sure.sum() < _FITTED:
            return cls(0.0, 0.0, 0.0)
        mine, theirs = cells(a.colour), cells(laid)
        weights = _weights(_affine(theirs)[sure], mine[sure])
        brought = np.asarray(_affine(laid) @ weights, np.float32)
        apart = np.abs(cv2.GaussianBlur(a.colour, (0, 0), 1.0) - cv2.GaussianBlur(brought, (0, 0), 1.0)).max(axis=2)
        agreeing = found.structured & (found.correlation >= looser.likeness)
        # A cell at the edge of what covers the picture does not agree, though half of it does.
        beside = cv2.dilate(agreeing.astype(np.uint8), np.ones((3, 3))) > 0
        kept = pixels_of(beside | ~found.structured, inside > 0.5) & (apart <= looser.colour)
        change = _root((_hues(mine[sure]) - _hues(theirs[sure])) ** 2)
        return cls(float(kept.sum() / max((inside > 0.5).sum(), 1)), change, _light(mine, theirs, sure))


def _hues(colours: Array) -> Array:
    """Return by how much the channels' shares of the brightness differ from their mean over the cells: (n, 3)."""
    shares = colours / (colours.sum(axis=1, keepdims=True) + _DARK)
    return np.asarray(shares - shares.mean(axis=0))


def _light(mine: Array, theirs: Array, sure: Mask) -> float:
    """Return how far the ratio of brightness varies, fitted by a plane over the picture."""
    ratio = np.log((mine.mean(axis=2) + _DARK / 3) / (theirs.mean(axis=2) + _DARK / 3))
    y, x = np.nonzero(sure)
    plane = np.stack([np.ones(len(x)), x / sure.shape[1], y / sure.shape[0]], axis=1)
    weights = _weights(plane, ratio[sure])
    return float(np.std(plane @ weights))
