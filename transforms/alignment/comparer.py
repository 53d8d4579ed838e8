"""Comparing pictures by pixels, each loaded and reduced once while it is in use.

What belongs here: the cache between "these two ids" and `alignment.align`, and what a comparison of two training
pictures found. What does not: where pictures lie.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache

from transforms.alignment.align import align
from transforms.alignment.keypoints import Features, features
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.pictures import Pixels

_CACHED = 256  # pictures; about 1.6 MB each at alignment size


@dataclass(frozen=True, slots=True)
class PixelComparison:
    """What laying one training picture over another found.

    same: the two show the same picture. aligned_distance: root mean square of aligned pixels; overlap_a, overlap_b: the
    shared share of each. These are None where no way of laying it was found, or a picture could not be read: `failure`.
    """

    same: bool
    aligned_distance: float | None = None
    inliers: int | None = None
    overlap_a: float | None = None
    overlap_b: float | None = None
    failure: str | None = None


class Comparer[Name: Hashable]:
    """Aligns pictures by name.

    load: returns the pixels of a name, uint8 of shape (height, width, 3); what it raises passes through.
    """

    def __init__(self, load: Callable[[Name], Pixels], limits: PixelLimits) -> None:
        self.limits = limits
        self._features: Callable[[Name], Features] = lru_cache(_CACHED)(lambda name: features(load(name), limits))

    def __call__(self, a: Name, b: Name) -> Alignment | None:
        """Lay picture b over picture a; None where no way of laying it is found."""
        return align(self._features(a), self._features(b), self.limits)

    def same(self, a: Name, b: Name, overlap: float) -> PixelComparison:
        """Tell whether two pictures are one: confirmed by pixels, and at least `overlap` of both shared.

        A picture that cannot be read confirms nothing, and says why.
        """
        try:
            found = self(a, b)
        except (OSError, ValueError) as error:
            return PixelComparison(same=False, failure=str(error))
        if found is None:
            return PixelComparison(same=False)
        shared = min(found.overlap_a, found.overlap_b) >= overlap
        return PixelComparison(
            shared and found.copied(self.limits),
            found.aligned_distance,
            found.inliers,
            found.overlap_a,
            found.overlap_b,
        )
