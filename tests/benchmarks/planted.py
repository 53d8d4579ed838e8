"""A training set of photographs, copies of them edited by code, and traps: pictures that show none of them.

What belongs here: which pictures there are and what each of them shows. What does not: finding out (`judged.py`).

Training pictures: 200 of BSDS500, one of ten photographs that tourists took of one church, and the committed sample's
originals. Traps: the other 100 of BSDS500, the nine other photographs of the church and the sample's novel generations,
as they are and edited. What fills the rest of a collage was never trained on either, so that every copy shows exactly
one training picture. Each photograph belongs to one of two halves, with all that is made of it: what is chosen on one
half is reported on the other.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl

from tests.benchmarks.data import RULES, SAMPLE, TRUTH, originals
from tests.benchmarks.figures import FULL, NotMeasured
from tests.benchmarks.labelled import PHOTOS
from transforms.matches.edits import EDITS, Edit
from transforms.pictures import Pixels, decode

TRAINED = 200  # of BSDS500
COPIES = int(os.environ.get("RAISONNE_BENCH_COPIES", "1000000" if FULL else "16"))
"""Photographs that each edit is applied to, at most; about half as many traps are edited."""


@dataclass(frozen=True)
class Photo:
    """A photograph. origin: `bsds500`, `same_scene` or `sample`. half: 0 or 1."""

    name: str
    origin: str
    half: int
    data: bytes

    def picture(self) -> Pixels:
        """Decode it."""
        return decode(self.data, RULES.max_pixels)


@dataclass(frozen=True)
class Planted:
    """A generation whose truth is known. source: the training picture it shows, None for a trap.

    edit: what was done to the photograph, None for nothing; other: what fills the rest where an edit needs a rest.
    """

    photo: Photo
    source: Photo | None
    edit: Edit | None = None
    other: Photo | None = None

    @property
    def edited(self) -> str:
        """The name of the edit."""
        return self.edit.name if self.edit else "none"

    def picture(self) -> Pixels:
        """Make it, the same on every call."""
        picture = self.photo.picture()
        if self.edit is None or self.other is None:
            return picture
        seed = zlib.crc32(f"{self.photo.name} {self.edit.name}".encode())
        return self.edit.apply(picture, self.other.picture(), np.random.default_rng(seed))


@dataclass(frozen=True)
class Set:
    """The photographs that were trained on and those that never were."""

    trained: tuple[Photo, ...]
    never: tuple[Photo, ...]

    @classmethod
    def read(cls) -> "Set":
        """Read the photographs. NotMeasured: they are not at hand."""
        trained, never = [], []
        for origin, count in (("bsds500", TRAINED), ("same_scene", 1)):
            files = sorted((PHOTOS / origin).glob("*.jpg"))
            if len(files) <= count:
                raise NotMeasured(f"no {count + 1} photographs in {PHOTOS / origin}; set RAISONNE_BENCH_PHOTOS")
            order = np.random.default_rng(5).permutation(len(files))
            found = [(files[place].stem, files[place].read_bytes()) for place in order]
            trained += _photos(origin, found[:count])
            never += _photos(origin, found[count:])
        novel = pl.read_csv(TRUTH / "generations.csv").filter(pl.col("kind") == "novel")["file_name"]
        trained += _photos("sample", list(originals().items()))
        never += _photos("sample", [(name, (SAMPLE / "generations" / name).read_bytes()) for name in novel])
        return cls(tuple(trained), tuple(never))

    def planted(self) -> Iterator[Planted]:
        """Yield the generations: edited copies, then traps as they are, then edited traps."""
        # Every edit has the trained church and photographs of its own, until all of them had their turn.
        for number, edit in enumerate(EDITS):
            for photo in _turn(self.trained, number, {"same_scene": 1, "bsds500": 12, "sample": 3}):
                yield Planted(photo, photo, edit, self._other(photo, edit))
        for photo in self.never:
            yield Planted(photo, None)
        for number, edit in enumerate(EDITS):
            for photo in _turn(self.never, number, {"same_scene": 3, "bsds500": 5, "sample": 1}):
                yield Planted(photo, None, edit, self._other(photo, edit))

    def _other(self, photo: Photo, edit: Edit) -> Photo:
        """Choose a photograph of the same half that was never trained on."""
        fits = [each for each in self.never if each.half == photo.half and each.name != photo.name]
        return fits[zlib.crc32(f"{edit.name} beside {photo.name}".encode()) % len(fits)]


def _photos(origin: str, found: Sequence[tuple[str, bytes]]) -> list[Photo]:
    return [Photo(name, origin, place % 2, data) for place, (name, data) in enumerate(found)]


def _turn(photos: Sequence[Photo], number: int, shares: dict[str, int]) -> list[Photo]:
    """Return the photographs whose turn it is. shares: by origin, of 16."""
    chosen = []
    for origin, share in shares.items():
        of = [photo for photo in photos if photo.origin == origin]
        count = min(len(of), max(1, COPIES * share // 16))
        chosen.append([of[(number * count + place) % len(of)] for place in range(count)])
    return list(chain.from_iterable(chosen))
