"""Further views of an image, beside those that the warehouse searches with: by setting, for what evades the others.

What belongs here: which there are, and cutting them. What does not: the warehouse's views (`fingerprints/views.py`),
searching (`guard/embedding_search.py`). P-values and error rates are of the warehouse's views alone.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from PIL import Image

from transforms.fingerprints.views import WHOLE, View, search_views
from transforms.pictures import Pixels

NEGATIVE, ROTATED, TILES = "negative", "rotated", "tiles"
ALSO = (NEGATIVE, ROTATED, TILES)
_ANGLES = (-45.0, -25.0, 25.0, 45.0)
_TILE = 0.33


@dataclass(frozen=True)
class AlteredView(View):
    """A view that undoes a change: of a negative, or of a picture turned by some degrees."""

    negative: bool = False
    degrees: float = 0.0

    def cut(self, picture: Pixels) -> Pixels:
        """See View. Of a turned picture it is what lies within the original frame at any angle."""
        part = super().cut(picture)
        if self.negative:
            return np.ascontiguousarray(255 - part)
        turned = np.asarray(Image.fromarray(part).rotate(self.degrees, Image.Resampling.BILINEAR))
        height, width = part.shape[:2]
        angle = math.radians(abs(self.degrees))
        share = 1 / (math.cos(angle) + math.sin(angle))  # of each side that a picture turned and expanded has kept
        high, wide = max(1, round(height * share)), max(1, round(width * share))
        top, left = (height - high) // 2, (width - wide) // 2
        return np.ascontiguousarray(turned[top : top + high, left : left + wide])


def further_views(also: Collection[str]) -> tuple[View, ...]:
    """Return the further views of some kinds.

    Args:
        also: Of ALSO.

    Raises:
        ValueError: If a kind is none.
    """
    if unknown := sorted(set(also) - set(ALSO)):
        raise ValueError(f"{unknown[0]!r} is no further view; there are {', '.join(ALSO)}")
    views: list[View] = []
    if NEGATIVE in also:
        views.append(AlteredView("negative", WHOLE, negative=True))
    if ROTATED in also:
        views += [AlteredView(f"turned by {angle:g}", WHOLE, degrees=angle) for angle in _ANGLES]
    if TILES in also:
        views += search_views((_TILE,), "none")[1:]
    return tuple(views)
