"""The parts of a generated image to search with.

What belongs here: choosing the parts, and cutting them out. What does not: searching with them (`matches/search.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.pictures import Pixels
from transforms.regions import Box


@dataclass(frozen=True)
class View:
    """A part of a generation, possibly mirrored, that is searched like a picture."""

    name: str
    box: Box
    mirrored: bool = False

    def cut(self, picture: Pixels) -> Pixels:
        """Cut the part out of a picture, uint8 of shape (height, width, 3); at least one pixel each way."""
        height, width = picture.shape[:2]
        top, left = int(self.box.y * height), int(self.box.x * width)
        part = picture[
            top : max(top + 1, round((self.box.y + self.box.height) * height)),
            left : max(left + 1, round((self.box.x + self.box.width) * width)),
        ]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


_STEP = 0.75  # of a tile's side, at most, from one tile to the next


def search_views(scales: Sequence[float] = (0.5,), flips: str = "whole") -> tuple[View, ...]:
    """Return the parts of a generation to search with: the whole, and for each scale a grid of tiles of that side.

    With the whole generation, SSCD finds a crop of a source. For a source that fills only part of the generation, it
    needs a part of it. Tiles are at most 3/4 of their side apart, so that one of them shows most of any source of their
    size. Each view costs an embedding. Measured with 180 generations, a photograph in a quarter of their area or an
    inset of a third of their side, plain and mirrored, among 200 photographs: the whole alone finds 73% first; 0.6 at
    four corners and the centre 99%, a twentieth of the weakest kind below a cosine of 0.26; a grid of 0.5 (9 tiles) all
    of them, 0.37; with a grid of 3 × 3 tiles of 0.33 beside it 0.45. Mirroring tiles brings nothing: SSCD sees a
    mirrored part nearly as well.

    Args:
        scales: Sides of the tiles as shares of the picture's, between 0 and 1.
        flips: The parts that are also searched mirrored: `none`, the `whole` picture, or `all` parts.
    """
    plain = [View("whole", WHOLE)]
    for side in scales:
        count = 1 + math.ceil((1 - side) / (_STEP * side))
        places = np.linspace(0, 1 - side, count).tolist()
        plain += [View(f"{side:g} at {x:.3g}, {y:.3g}", Box(x, y, side, side)) for y in places for x in places]
    turned = {"none": [], "whole": plain[:1], "all": plain}[flips]
    return (*plain, *(View(f"{view.name} mirrored", view.box, mirrored=True) for view in turned))


VIEWS = search_views()
"""The views of the default settings."""
