"""Which picture is trained on how often, under which caption, and how each of its copies is encoded.

What belongs here: the plan, decided by the recipe's seed alone. What does not: cutting pictures (`squares.py`), writing
files (`dataset.py`).

Copies are as real training sets have them: most are the same bytes at another URL, others were encoded again, made
smaller or cut at the edge. Most captions are shared by a dozen pictures of whatever rungs, most of one kind, so that no
caption names one picture and a model that returns one of them has chosen it. A planted share names a single picture.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched

import numpy as np
from PIL import Image

from data.build_sample import Captions, encode
from tests.lab.recipe import Pictures, RecipeError
from tests.lab.squares import Square

type Random = np.random.Generator
EDITS = ("identical", "identical", "recompressed", "identical", "resized", "identical", "recompressed", "cropped")


@dataclass(frozen=True)
class Planned:
    """A picture, how many rows show it, its caption, and whether that names no other picture."""

    square: Square
    copies: int
    caption: str
    unique: bool


def plan(squares: Sequence[Square], recipe: Pictures) -> list[Planned]:
    """Put squares on the rungs of the ladder, and captions on squares. Raises RecipeError where there are too few."""
    wanted = sum(rung.pictures for rung in recipe.ladder)
    if len(squares) < wanted:
        raise RecipeError(f"the ladder takes {wanted:,} pictures, but the photographs give {len(squares):,}")
    rng = np.random.default_rng([recipe.seed, 1])
    captions = Captions(rng)
    order = iter(rng.permutation(len(squares)).tolist())
    alone, together = [], []
    for rung in recipe.ladder:
        for number in range(rung.pictures):
            square = squares[next(order)]
            if number < rung.unique:
                alone.append(Planned(square, rung.copies, captions.take(named(square)), unique=True))
            else:
                together.append((square, rung.copies))
    together = [together[i] for i in rng.permutation(len(together))]
    together.sort(key=lambda each: each[0].kind)  # stable: within a kind the rungs stay mixed
    shared = []
    for group in batched(together, recipe.a_caption):
        caption = captions.take(named(group[0][0]))
        shared += [Planned(square, copies, caption, unique=False) for square, copies in group]
    return [*alone, *shared]


def named(square: Square) -> str:
    """Return a name from which `data.build_sample.Captions` sees what the picture shows."""
    return f"land/{square.photograph.split('/')[-1]}"


def copies(planned: Planned, rng: Random) -> Iterator[tuple[str, bytes, str, tuple[int, int]]]:
    """Yield the rows of a picture: how each was edited, its bytes, its suffix and its size."""
    original = planned.square.image
    base = jpeg(original, 95)
    yield "original", base, "jpg", original.size
    for number in range(planned.copies - 1):
        edit = EDITS[number % len(EDITS)]
        data, suffix, size = _edited(original, base, edit, rng)
        yield edit, data, suffix, size


def _edited(original: Image.Image, base: bytes, edit: str, rng: Random) -> tuple[bytes, str, tuple[int, int]]:
    side = original.width
    match edit:
        case "identical":
            return base, "jpg", original.size
        case "recompressed":
            suffix = str(rng.choice(["jpg", "webp", "png"]))
            data = jpeg(original, int(rng.integers(85, 95))) if suffix == "jpg" else encode(original, suffix, 90)
            return data, suffix, original.size
        case "resized":
            small = round(side * rng.uniform(0.8, 0.95))
            image = original.resize((small, small), Image.Resampling.LANCZOS)
        case "cropped":
            cut = max(1, round(side * 0.03))
            left, top = (int(rng.integers(0, cut + 1)) for _ in range(2))
            image = original.crop((left, top, left + side - cut, top + side - cut))
        case _:
            raise ValueError(f"no copy is made by the edit {edit!r}")
    return jpeg(image, 95), "jpg", image.size


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode as JPEG with all its colours: halved, they would be those of 16 pixels a side."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()
