"""A rehearsal: generations whose source is known because no model made them, on the pictures of the laboratory.

What belongs here: making them. What does not: judging the verdicts on them (`scoring.py`).

What a network that remembers does to a picture: noise, blur, a drift of colours over its whole. And what is no copy
though it looks like one: two training pictures blended, and photographs of the same kind that were never trained on and
are in no index.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tests.lab.squares import Square

MODEL = "rehearsal"


@dataclass(frozen=True)
class Kind:
    """How a generation is made. noise, drift: standard deviations of 255. blur: radius in pixels. share: of the first
    of two pictures that are blended.
    """

    name: str
    noise: float
    blur: float = 0.0
    drift: float = 0.0
    share: float = 1.0


KINDS = (
    Kind("noise 3", 3),
    Kind("noise 7", 7),
    Kind("noise 10", 10),
    Kind("blur 0.5, noise 5", 5, blur=0.5),
    Kind("blur 0.7, noise 3", 3, blur=0.7),
    Kind("blur 1, noise 3", 3, blur=1.0),
    Kind("drift 8, noise 2", 2, drift=8),
    Kind("blend 50%, noise 3", 3, share=0.5),
    Kind("never trained, noise 3", 3),
)


def rehearse(
    trained: Sequence[Square], held: Sequence[Square], of_each: int, folder: Path, truth: Path, seed: int
) -> None:
    """Write `of_each` generations of every kind, and apart from them what each shows.

    held: squares of pictures that no index holds.
    """
    from tests.lab.sampling import write_list  # and torch, which takes seconds

    folder.mkdir(parents=True, exist_ok=True)
    rng, lines, told = np.random.default_rng([seed, 5]), [], []
    for kind in KINDS:
        among = held if kind.name.startswith("never") else trained
        for number, square in enumerate(_some(among, of_each, rng)):
            name = f"{KINDS.index(kind):02d}-{number:04d}.png"
            image, shown = square.image, [square.name]
            if kind.share < 1:
                other = next(each for each in _some(trained, 3, rng) if each.photograph != square.photograph)
                image = Image.blend(other.image, image, kind.share)
                shown.append(other.name)
            _spoiled(image, kind, rng).save(folder / name)
            lines.append((name, f"a {square.kind}", number))
            told.append([name, kind.name, "|".join(shown)])
    with truth.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["file_name", "kind", "pictures"], *told])
    write_list(folder, lines, MODEL)


def _some(squares: Sequence[Square], count: int, rng: np.random.Generator) -> Iterator[Square]:
    for place in rng.permutation(len(squares))[:count]:
        yield squares[place]


def _spoiled(image: Image.Image, kind: Kind, rng: np.random.Generator) -> Image.Image:
    blurred = image.filter(ImageFilter.GaussianBlur(kind.blur)) if kind.blur else image
    values = np.asarray(blurred, np.float64) + rng.normal(0, kind.noise, (image.height, image.width, 3))
    if kind.drift:
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        smooth = np.asarray(coarse.resize(image.size, Image.Resampling.BICUBIC), np.float64)
        values += kind.drift * (smooth - smooth.mean()) / smooth.std()
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))
