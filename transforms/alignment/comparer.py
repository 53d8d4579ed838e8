"""Comparing pictures by pixels, each loaded and reduced once while in use.

What belongs here: the cache of features, and the result of comparing two training pictures. What does not: locating
pictures, storing comparisons.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache

from transforms.alignment.align import align
from transforms.alignment.alteration_policy import Alteration, AlterationLimits
from transforms.alignment.alterations import find_alteration
from transforms.alignment.keypoints import Features, features
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.pictures import Pixels

_CACHED = 256  # pictures; about 1.6 MB each at alignment size


@dataclass(frozen=True, slots=True)
class PixelComparison:
    """The result of aligning two training pictures.

    All but `same` and `failure` are None where no map was found or a picture could not be read.

    Attributes:
        same: Whether the two show the same picture.
        aligned_distance: Root mean square of aligned pixels.
        inliers: Matches inside the region.
        overlap_a: The shared share of the first picture.
        overlap_b: The shared share of the second.
        failure: Why a picture could not be read.
    """

    same: bool
    aligned_distance: float | None = None
    inliers: int | None = None
    overlap_a: float | None = None
    overlap_b: float | None = None
    failure: str | None = None


class Comparer[Name: Hashable]:
    """Aligns pictures that are given by name. One that is sent to another process begins with an empty cache."""

    def __init__(
        self,
        load: Callable[[Name], Pixels],
        limits: PixelLimits,
        looser: AlterationLimits | None = None,
        cached: int = _CACHED,
    ) -> None:
        """Prepare an empty cache.

        Args:
            load: Returns the pixels of a name, uint8 of shape (height, width, 3). Its exceptions pass through.
            limits: When pixels agree.
            looser: When structure confirms an altered copy.
            cached: Pictures whose features are kept.
        """
        self.limits, self.looser, self._load, self._cached = limits, looser or AlterationLimits(), load, cached
        self._features: Callable[[Name], Features] = lru_cache(cached)(lambda name: features(load(name), limits))

    def __reduce__(
        self,
    ) -> tuple[type["Comparer[Name]"], tuple[Callable[[Name], Pixels], PixelLimits, AlterationLimits, int]]:
        """Leave out the cache."""
        return Comparer, (self._load, self.limits, self.looser, self._cached)

    def __call__(self, a: Name, b: Name) -> Alignment | None:
        """Lay picture b over picture a.

        Args:
            a: A name.
            b: Another.

        Returns:
            None where no map is found.
        """
        return align(self._features(a), self._features(b), self.limits)

    def twice(self, a: Name, b: Name) -> tuple[Alignment | None, Alteration | None]:
        """Lay picture b over picture a, and where pixels do not confirm it, look for an altered copy.

        Args:
            a: A name.
            b: Another.

        Returns:
            What pixels measure, None where no map is found; and what structure measures, None where it was not needed,
            or too little agrees.
        """
        alignment = self(a, b)
        if alignment and alignment.confirmed(self.limits):
            return alignment, None
        return alignment, find_alteration(self._features(a), self._features(b), self.limits, self.looser)

    def same(self, a: Name, b: Name, overlap: float) -> PixelComparison:
        """Return whether two pictures are the same: pixels confirm it, and they share enough of both.

        Raises what loading them raises.

        Args:
            a: A name.
            b: Another.
            overlap: Least share of both pictures that they must have in common.
        """
        alignment = self(a, b)
        if alignment is None:
            return PixelComparison(same=False)
        shared = min(alignment.overlap_a, alignment.overlap_b) >= overlap
        return PixelComparison(
            shared and alignment.copied(self.limits),
            alignment.aligned_distance,
            alignment.inliers,
            alignment.overlap_a,
            alignment.overlap_b,
        )
