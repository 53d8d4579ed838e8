"""Comparing pictures by pixels, each loaded and reduced once while it is in use.

What belongs here: the cache between "these two ids" and `alignment.align`. What does not: where pictures lie.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache

from transforms.alignment import Alignment, Features, Limits, align, features
from transforms.pictures import Pixels

_CACHED = 256  # pictures; about 1.6 MB each at alignment size


class Comparer[Name: Hashable]:
    """Aligns pictures by name.

    load: returns the pixels of a name, uint8 of shape (height, width, 3); what it raises passes through.
    """

    def __init__(self, load: Callable[[Name], Pixels], limits: Limits) -> None:
        self.limits = limits
        self._features: Callable[[Name], Features] = lru_cache(_CACHED)(lambda name: features(load(name), limits))

    def __call__(self, a: Name, b: Name) -> Alignment | None:
        """Lay picture b over picture a; None where no way of laying it is found."""
        return align(self._features(a), self._features(b), self.limits)
