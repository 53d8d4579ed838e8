"""A labelled set of pictures: photographs, edited copies of them, and pictures that only look like copies.

What belongs here: which pictures there are and which of them are the same. What does not: finding out
(`duplicates/clusters.py`).

Two pictures are the same if at least `duplicate_overlap` (0.6) of both is shared, by content; mirrored copies too. The
edits below share at least 0.64 of both with each other, the two crops among themselves included. What shares less is
labelled as different pictures: two crops of one photograph that share 0.18, a photograph and its central half (0.5),
different photographs that fill half of one template.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from tests.benchmarks.data import ROOT, SAMPLE, TRUTH

PHOTOS = Path(os.environ.get("RAISONNE_BENCH_PHOTOS", ROOT.parent / "shared" / "data" / "photos"))
"""Folders of JPEGs, if there are any: `bsds500`, different photographs, `same_scene`, different ones of one place."""
EDITED, BESIDE, HALVED, TEMPLATED = 120, 40, 20, 30
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Item:
    """A picture. picture: equal for the same picture. part: the part of the set. edit: what was done to it."""

    data: bytes
    picture: str
    part: str
    edit: str


def items() -> Iterator[Item]:
    """Yield the sample's training pictures, and those made from the photographs where these are at hand."""
    yield from _sample()
    photos = sorted((PHOTOS / "bsds500").glob("*.jpg"))
    order = np.random.default_rng(11).permutation(len(photos))
    for place, photo in enumerate(photos[i] for i in order):
        data, image = photo.read_bytes(), Image.open(photo).convert("RGB")
        if place < EDITED:
            yield Item(data, photo.stem, "edited", "original")
            yield Item(data, photo.stem, "edited", "identical")
            for edit, make in EDITS.items():
                yield Item(make(image), photo.stem, "edited", edit)
        elif place < EDITED + BESIDE:
            for edit, box in {"left": (0, 0, 0.55, 1), "right": (0.45, 0, 1, 1)}.items():
                yield Item(_saved(_crop(image, box)), f"{photo.stem} {edit}", "beside", edit)
        elif place < EDITED + BESIDE + HALVED:
            inner = 0.5**0.5
            box = ((1 - inner) / 2, (1 - inner) / 2, (1 + inner) / 2, (1 + inner) / 2)
            yield Item(data, photo.stem, "halved", "original")
            yield Item(_saved(_crop(image, box)), f"{photo.stem} half", "halved", "half")
        elif place < EDITED + BESIDE + HALVED + TEMPLATED:
            yield Item(_saved(_templated(image)), photo.stem, "templated", "templated")
        else:
            yield Item(data, photo.stem, "single", "original")
    for photo in sorted((PHOTOS / "same_scene").glob("*.jpg")):
        yield Item(photo.read_bytes(), photo.stem, "same_scene", "original")


def _sample() -> Iterator[Item]:
    truth = pl.read_csv(TRUTH / "training.csv", schema_overrides={"shard": pl.String})
    for (shard,), rows in truth.group_by("shard", maintain_order=True):
        with tarfile.open(SAMPLE / "laion" / f"{shard}.tar") as archive:
            members = {m.name.partition(".")[0]: m for m in archive if m.name.endswith((".jpg", ".png", ".webp"))}
            for number, picture, edit in rows.select("row_number", "picture", "edit").iter_rows():
                member = members.get(f"{shard}{number:04d}")
                if member and (file := archive.extractfile(member)):
                    yield Item(file.read(), picture, "sample", edit)


def _saved(image: Image.Image, kind: str = "JPEG", quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return file.getvalue()


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def _crop(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """Cut a box out, in fractions of the picture: left, top, right, bottom."""
    sides = (image.width, image.height) * 2
    left, top, right, bottom = (round(part * side) for part, side in zip(box, sides, strict=True))
    return image.crop((left, top, right, bottom))


def _corner(image: Image.Image, share: float, *, last: bool) -> Image.Image:
    """Cut a share of the area out, in one corner or the opposite one."""
    side = share**0.5
    return _crop(image, (1 - side, 1 - side, 1, 1) if last else (0, 0, side, side))


def _tuned(image: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(1.2)).enhance(1.25)


def _overlaid(image: Image.Image) -> Image.Image:
    made = image.copy()
    font = ImageFont.load_default(image.height // 10)
    place = (image.width // 2, image.height // 2)
    ImageDraw.Draw(made).text(place, "SAMPLE TEXT", _WHITE, font, anchor="mm", stroke_width=2, stroke_fill=(0, 0, 0))
    return made


def _captioned(image: Image.Image) -> Image.Image:
    bar = image.height // 8
    made = Image.new("RGB", (image.width, image.height + bar), _WHITE)
    made.paste(image)
    place = (image.width // 2, image.height + bar // 2)
    ImageDraw.Draw(made).text(place, "when you see it", (0, 0, 0), ImageFont.load_default(bar // 2), anchor="mm")
    return _scaled(made, 0.8)


def _framed(image: Image.Image) -> Image.Image:
    return _scaled(ImageOps.expand(image, (round(image.width * 0.04), round(image.height * 0.04))), 0.8)


def _templated(image: Image.Image) -> Image.Image:
    """Put a picture into half of a card that is otherwise the same for every picture."""
    made = Image.new("RGB", (480, 480), (236, 200, 90))
    made.paste(ImageOps.fit(image, (400, 288)), (40, 96))
    draw = ImageDraw.Draw(made)
    draw.text((240, 48), "PHOTO OF THE DAY", (120, 20, 20), ImageFont.load_default(44), anchor="mm")
    draw.text((240, 432), "more on page twelve", (20, 60, 120), ImageFont.load_default(36), anchor="mm")
    return made


EDITS: Mapping[str, Callable[[Image.Image], bytes]] = {
    "jpeg_60": lambda image: _saved(image, quality=60),
    "jpeg_30": lambda image: _saved(image, quality=30),
    "png": lambda image: _saved(image, "PNG"),
    "webp": lambda image: _saved(image, "WEBP", 75),
    "scaled_50": lambda image: _saved(_scaled(image, 0.5)),
    "scaled_25": lambda image: _saved(_scaled(image, 0.25)),
    "scaled_150": lambda image: _saved(_scaled(image, 1.5)),  # larger than its original, which it then represents
    "cropped_90": lambda image: _saved(_corner(image, 0.9, last=False)),
    "cropped_75": lambda image: _saved(_corner(image, 0.75, last=True)),
    "tuned": lambda image: _saved(_tuned(image)),
    "grey": lambda image: _saved(image.convert("L")),
    "overlaid": lambda image: _saved(_overlaid(image)),
    "captioned": lambda image: _saved(_captioned(image)),
    "framed": lambda image: _saved(_framed(image)),
    "rotated_3": lambda image: _saved(image.rotate(3, Image.Resampling.BICUBIC, fillcolor=_WHITE)),
    "mirrored": lambda image: _saved(ImageOps.mirror(image)),
}
