"""Small different pictures from the sample's photographs: disjoint squares, the dull and the alike left out.

What belongs here: which squares there are, and which photographs are never trained on. What does not: how often a
square is trained on (`ladder.py`), files (`dataset.py`). No network: the photographs are those of `data/sample`, public
domain as `data/sample/ATTRIBUTION.md` says.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.lab.recipe import Pictures

_THUMB = 32


@dataclass(frozen=True)
class Square:
    """A square of a photograph. name: `land/canyon1 128,64`, the photograph and the corner. image: RGB."""

    name: str
    photograph: str
    image: Image.Image

    @property
    def kind(self) -> str:
        """What the photograph shows, as its name says: `land/canyon1` is of the kind `canyon`."""
        return self.photograph.split("/")[-1].rstrip("0123456789")


def split(photographs: Mapping[str, bytes], recipe: Pictures) -> tuple[list[Square], list[Square]]:
    """Cut photographs into squares, and return those to train on and those held out.

    photographs: bytes by name. What is held out is held out with its whole photograph. Same recipe, same squares.
    """
    rng = np.random.default_rng(recipe.seed)
    names = [str(name) for name in rng.permutation(sorted(photographs))][: recipe.photographs]
    held = set(names[: max(1, round(recipe.held_out * len(names)))])
    found = list(_different((square for name in names for square in _cut(name, photographs[name], recipe)), recipe))
    return [s for s in found if s.photograph not in held], [s for s in found if s.photograph in held]


def _cut(name: str, data: bytes, recipe: Pictures) -> Iterator[Square]:
    side, image = recipe.crop, Image.open(io.BytesIO(data)).convert("RGB")
    for top in range(0, image.height - side + 1, side):
        for left in range(0, image.width - side + 1, side):
            part = image.crop((left, top, left + side, top + side))
            part = part.resize((recipe.stored, recipe.stored), Image.Resampling.BOX)
            yield Square(f"{name} {left},{top}", name, part)


def _different(squares: Iterator[Square], recipe: Pictures) -> Iterator[Square]:
    """Leave out squares without structure, and those too near to an earlier one: skies are all one picture."""
    kept: list[npt.NDArray[np.float32]] = []
    for square in squares:
        seen = thumb(square.image)
        down, across = np.gradient(seen.mean(axis=2))
        if float(np.hypot(down, across).mean()) < recipe.structure:
            continue
        if kept and np.sqrt(((np.stack(kept) - seen) ** 2).mean(axis=(1, 2, 3))).min() < recipe.apart:
            continue
        kept.append(seen)
        yield square


def thumb(image: Image.Image) -> npt.NDArray[np.float32]:
    """Return a picture at 32 × 32: float32 of shape (32, 32, 3), values in [0,1]."""
    return np.asarray(image.resize((_THUMB, _THUMB), Image.Resampling.BOX), np.float32) / 255
