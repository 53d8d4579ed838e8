"""The recipe of the laboratory: every number that decides what is trained, sampled and written.

What belongs here: names, types and limits of the numbers, and where a laboratory's files lie. What does not: the
numbers themselves (`recipes/*.toml`), doing any of it.

A larger laboratory is another file: `side`, `width`, `steps`, `batch`, `device = "cuda"` and `precision = "bfloat16"`.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from orchestration.settings.section import Section

RECIPES = Path(__file__).parent / "recipes"
MODELS = ("before", "after")
"""Trained on all rows, and on those that the removal list leaves."""


class RecipeError(ValueError):
    """A recipe cannot be used; the message names the file and what is wrong with it."""


class Rung(Section):
    """So many pictures with so many rows each. unique: of them, those whose caption no other picture has."""

    copies: int = Field(ge=1)
    pictures: int = Field(ge=1)
    unique: int = Field(ge=0)


class Pictures(Section):
    """What is trained on.

    photographs: at most so many of the sample's. crop: pixels a side of the disjoint squares that they are cut into.
    structure: mean gradient at 32 × 32 (values in [0,1]) below which a square says too little. apart: root mean square
    at 32 × 32 by which any two squares differ at least. held_out: share of the photographs that is never trained on.
    stored: pixels a side of the files. a_caption: pictures that share a caption. a_shard: rows.
    """

    seed: int
    photographs: int = Field(1_000, ge=2)
    crop: int = Field(ge=8)
    structure: float = Field(ge=0)
    apart: float = Field(0.05, ge=0)
    held_out: float = Field(gt=0, lt=1)
    stored: int = Field(ge=8)
    a_caption: int = Field(ge=2)
    a_shard: int = Field(1_000, ge=1, le=9_999)
    ladder: Annotated[tuple[Rung, ...], Field(min_length=1)]


class Network(Section):
    """The U-Net. side: pixels. patch: of so many a side are one place. width: channels of the first level. levels:
    their multiples, each half the size of the one before. blocks: of a level. attention: places a side at which it
    attends. words: buckets that the words of captions are hashed into.
    """

    side: int = Field(ge=8)
    patch: int = Field(2, ge=1)
    width: int = Field(ge=8, multiple_of=8)
    levels: Annotated[tuple[int, ...], Field(min_length=1)]
    blocks: int = Field(1, ge=1)
    attention: tuple[int, ...] = (8,)
    words: int = Field(4_096, ge=2)


class Training(Section):
    """seed, steps, batch, and AdamW's numbers. warm_up, cool_down: steps over which the rate rises at the beginning and
    falls at the end. checkpoint: steps from one to the next. drop: share of captions that are left out. average: of the
    weights, an exponential one. precision: of the arithmetic; weights are kept in float32. A processor without
    bfloat16 imitates it at a tenth of the speed.
    """

    seed: int
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    rate: float = Field(gt=0)
    warm_up: int = Field(0, ge=0)
    cool_down: int = Field(0, ge=0)
    decay: float = Field(0.0, ge=0)
    average: float = Field(0.999, ge=0, lt=1)
    drop: float = Field(0.1, ge=0, lt=1)
    checkpoint: int = Field(250, ge=1)
    threads: int = Field(2, ge=1)
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"


class Sampling(Section):
    """steps: of Euler's method. guidance: 1 for none. shared, unique: samples of a caption that pictures share, and of
    one that names a single picture. saved: pixels a side of the files.
    """

    seed: int
    steps: int = Field(ge=1)
    guidance: float = Field(1.0, ge=0)
    shared: int = Field(ge=1, le=1_000)
    unique: int = Field(ge=1, le=1_000)
    batch: int = Field(64, ge=1)
    saved: int = Field(ge=8)


class Recipe(Section):
    """All of it. rehearsed: generations of each kind of the rehearsal. warehouse: more of `raisonne.toml`, verbatim."""

    pictures: Pictures
    network: Network
    training: Training
    sampling: Sampling
    rehearsed: int = Field(30, ge=1)
    warehouse: str = ""

    def digest(self, *parts: str) -> str:
        """Return a digest of some sections: what is made under another one is made anew or refused."""
        said = "".join(f"{part}={getattr(self, part)!r}" for part in parts)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def load(path: Path) -> Recipe:
    """Read a recipe. Raises RecipeError."""
    try:
        return Recipe(**tomllib.loads(path.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise RecipeError(f"{path} is no recipe: {error}") from error


@dataclass(frozen=True)
class Places:
    """Where a laboratory's files lie, below its home."""

    home: Path

    @property
    def training(self) -> Path:
        """The training set, as the warehouse reads it."""
        return self.home / "training"

    @property
    def decoys(self) -> Path:
        """Pictures of the same kind that no model was trained on."""
        return self.home / "decoys"

    @property
    def truth(self) -> Path:
        """What each row shows. Nothing of the pipeline reads it."""
        return self.home / "truth.csv"

    @property
    def removal(self) -> Path:
        """The removal list."""
        return self.home / "removal"

    def model(self, name: str) -> Path:
        """Checkpoint and weights of a model."""
        return self.home / "models" / name

    def generations(self, name: str) -> Path:
        """What a model, or the rehearsal, made."""
        return self.home / "generations" / name

    def warehouse(self, name: str) -> Path:
        """The home of a warehouse of the generations of that name."""
        return self.home / "warehouses" / name

    @property
    def results(self) -> Path:
        """The numbers that the page is made of."""
        return self.home / "results.json"
