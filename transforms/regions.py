"""Regions of pictures, in fractions of their sides.

What belongs here: the rectangle. What does not: cutting pixels (`fingerprints/views.py`) or measuring (`alignment/`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in fractions of a picture, 0..1, origin top left."""

    x: float
    y: float
    width: float
    height: float
