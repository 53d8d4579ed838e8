"""Maps that lay one picture over another, fitted to the matches of their local features.

What belongs here: fitting maps and refusing implausible ones. What does not: how well the aligned pictures agree
(`alignment/align.py`).

A copy is scaled and turned (similarity, 4 degrees of freedom), squeezed (affine, 6) or seen from the side (homography,
8). The map with the fewest degrees that explains the matches is taken, because further freedom often fits noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from transforms.alignment.agreement import Array
from transforms.alignment.keypoints import MIRROR, Features, matches
from transforms.alignment.policy import PixelLimits

_GAINED = 1.05  # times the matches of an affine map, from which a homography explains more than noise
_SETTLED = 0.15  # pixels: what an affine map may fit better than a similarity before it is needed
_TILTED = 3.0  # how much farther than its nearest corner the farthest may seem
_ALIKE = 0.5  # correlation of coarse structure from which pictures are laid edge on edge


@dataclass(frozen=True)
class Placement:
    """One map that lays b over a.

    Attributes:
        geometry: The kind of map.
        onto: Of shape (3, 3), pixels of b to pixels of a.
        support: Of shape (n, 2), points of a that agree with it.
    """

    geometry: str
    onto: Array
    support: Array


def map_points(onto: Array, points: Array) -> Array:
    """Map points.

    Args:
        onto: Of shape (3, 3).
        points: Of shape (n, 2), x and y.
    """
    flat = points @ onto[:, :2].T + onto[:, 2]
    return np.asarray(flat[:, :2] / flat[:, 2:], np.float64)


def placements(a: Features, b: Features, limits: PixelLimits) -> Iterator[Placement]:
    """Yield maps of b onto a, the likeliest first. Deterministic: RANSAC starts from a constant seed.

    Args:
        a: Features of a picture.
        b: Features of another.
        limits: When pixels agree.
    """
    both_ways = [matches(a, b, turned, limits) for turned in (b.descriptors, b.descriptors[:, MIRROR])]
    for source, target in sorted(both_ways, key=lambda m: -len(m[0])):
        if len(source) < limits.inliers:
            break
        yield from _fitted(source, target, b.grey.shape, limits)
    # Smooth or heavily edited pictures have few points; whole copies of them lie edge on edge.
    (height, width), (rows, columns) = a.grey.shape, b.grey.shape
    x, y = width / columns, height / rows
    for (source, target), thumb, sign in (both_ways[0], b.thumb, 1), (both_ways[1], b.thumb[:, ::-1], -1):
        if float(np.vdot(a.thumb, thumb)) > _ALIKE:
            start = 0.5 * x - 0.5 if sign > 0 else width - 0.5 * x - 0.5
            onto = np.array([[sign * x, 0, start], [0, y, 0.5 * y - 0.5], [0, 0, 1]])
            yield Placement("placed", onto, _support(onto, source, target, limits))


def _fitted(source: Array, target: Array, shape: tuple[int, ...], limits: PixelLimits) -> Iterator[Placement]:
    """Yield the affine map, and the homography where more matches agree on it: first the one that explains more."""
    onto, kept = cv2.estimateAffine2D(source, target, ransacReprojThreshold=limits.reprojection)
    if onto is None:
        return
    flat = _settled(np.vstack([onto, [0, 0, 1]]), source, target, kept.ravel() > 0)
    flat = Placement(flat.geometry, flat.onto, _support(flat.onto, source, target, limits))
    # Other pictures end here: a homography that an affine map does not come near is no copy's.
    worth = 3 * limits.inliers <= len(flat.support) < len(source) / _GAINED
    tilted = _homography(source, target, limits) if worth else None
    options = [flat]
    if tilted is not None and len(tilted.support) >= _GAINED * len(flat.support):
        options.insert(0, tilted)
    for placement in options:
        if len(placement.support) >= limits.inliers and plausible(placement.onto, shape, limits):
            yield placement


def _settled(onto: Array, source: Array, target: Array, kept: Array) -> Placement:
    """Return the similarity of the same matches if it fits as well, else the affine map."""
    from_b, to_a = source[kept].astype(np.float64), target[kept].astype(np.float64)
    if len(from_b) >= 4:
        turned = onto.copy()
        around, about = from_b.mean(axis=0), to_a.mean(axis=0)
        # Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991, with
        # reflections allowed: descriptors say which way round.
        flip = np.diag([1.0, np.sign(np.linalg.det(onto[:2, :2])) or 1.0])
        p, q = (from_b - around) @ flip, to_a - about
        u, s, v = np.linalg.svd(q.T @ p)
        proper = np.diag([1.0, np.sign(np.linalg.det(u @ v)) or 1.0])
        scale = float((s * np.diag(proper)).sum() / max(float((p**2).sum()), 1e-9))
        turned[:2, :2] = scale * u @ proper @ v @ flip
        turned[:2, 2] = about - turned[:2, :2] @ around
        off = [np.sqrt(((map_points(way, from_b) - to_a) ** 2).sum(axis=1).mean()) for way in (turned, onto)]
        if off[0] <= off[1] + _SETTLED:
            return Placement("similarity", turned, to_a)
    return Placement("affine", onto, to_a)


def _homography(source: Array, target: Array, limits: PixelLimits) -> Placement | None:
    onto, _ = cv2.findHomography(source, target, cv2.RANSAC, limits.reprojection, maxIters=300, confidence=0.99)
    return None if onto is None else Placement("homography", onto, _support(onto, source, target, limits))


def plausible(onto: Array, shape: tuple[int, ...], limits: PixelLimits) -> bool:
    """Return whether a map neither folds, flattens nor overstretches a picture.

    Args:
        onto: Of shape (3, 3).
        shape: Height and width of the picture.
        limits: The largest change of scale.
    """
    rows, columns = shape
    corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float64)
    depth = corners @ onto[2, :2] + onto[2, 2]
    if depth.min() <= 0 or depth.max() > _TILTED * depth.min():
        return False
    for corner, near in zip(map_points(onto, corners), depth, strict=True):
        derivative = (onto[:2, :2] - np.outer(corner, onto[2, :2])) / near
        longest, shortest = np.linalg.svd(derivative, compute_uv=False)
        tilt = depth.max() / depth.min()
        if not (longest <= min(limits.stretch, 2 * shortest) * tilt and shortest >= 1 / limits.stretch / tilt):
            return False
    return True


def _support(onto: Array, source: Array, target: Array, limits: PixelLimits) -> Array:
    """Return the points of a onto which their matches are mapped, without the repeats of SIFT."""
    if not len(source):
        return target
    near = np.linalg.norm(map_points(onto, source) - target, axis=1) <= limits.reprojection
    places = np.round(np.hstack([source[near], target[near]]) / 2)
    return target[near][np.unique(places, axis=0, return_index=True)[1]]
