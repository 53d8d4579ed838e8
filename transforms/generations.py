"""Generated images: found in a folder, with prompt, seed and model where a table beside them says so.

What belongs here: finding generations, and the views of each that are searched with. What does not: hashing
(`fingerprints.py`), searching (`search.py`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from transforms.alignment import Box
from transforms.archives import PICTURE_ENDINGS
from transforms.pictures import Pixels


class GenerationsError(ValueError):
    """A folder of generations cannot be used; the message names it and the fix."""


@dataclass(frozen=True)
class Generation:
    """A generated image and what is said of it; what is not said is None."""

    generation_id: str
    source: str
    path: str
    model: str | None = None
    prompt: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class View:
    """A part of a generation, mirrored or not, that is searched with as if it were a picture."""

    name: str
    box: Box
    mirrored: bool = False

    def cut(self, picture: Pixels) -> Pixels:
        """Return the part of `picture`, uint8 of shape (height, width, 3); at least one pixel each way."""
        height, width = picture.shape[:2]
        top, left = int(self.box.y * height), int(self.box.x * width)
        part = picture[
            top : max(top + 1, round((self.box.y + self.box.height) * height)),
            left : max(left + 1, round((self.box.x + self.box.width) * width)),
        ]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)


WHOLE = Box(0.0, 0.0, 1.0, 1.0)
_STEP = 0.75  # of a tile's side, at most, from one tile to the next


def views(scales: Sequence[float] = (0.5,), flips: str = "whole") -> tuple[View, ...]:
    """Return the parts of a generation to search with: the whole, and for each scale a grid of tiles of that side.

    scales: sides of the tiles, shares of the picture's, between 0 and 1. flips: what is searched mirrored too: `none`,
    the `whole` picture, or `all` parts.

    SSCD finds a crop of a source in the whole generation; a source that fills only part of it needs a part to look
    with. Tiles lie at most 3/4 of their side apart, so that one of them shows most of a source of their size wherever
    it is. Each view costs an embedding. Measured with 180 generations, a photograph in a quarter of their area or an
    inset of a third of their side, plain and mirrored, among 200 photographs: the whole alone finds 73% first; 0.6 at
    four corners and the centre 99%, a twentieth of the weakest kind below a cosine of 0.26; a grid of 0.5 (9 tiles) all
    of them, 0.37; with a grid of 3 × 3 tiles of 0.33 beside it 0.45. Mirroring tiles brings nothing: SSCD
    sees a mirrored part nearly as well.
    """
    plain = [View("whole", WHOLE)]
    for side in scales:
        count = 1 + math.ceil((1 - side) / (_STEP * side))
        places = np.linspace(0, 1 - side, count).tolist()
        plain += [View(f"{side:g} at {x:.3g}, {y:.3g}", Box(x, y, side, side)) for y in places for x in places]
    turned = {"none": [], "whole": plain[:1], "all": plain}[flips]
    return (*plain, *(View(f"{view.name} mirrored", view.box, mirrored=True) for view in turned))


VIEWS = views()
"""The views of the default settings."""


def find(source: str, folder: str) -> list[Generation]:
    """Find the images below a folder, in order of their paths.

    `generations.jsonl` or `generations.parquet` in the folder may state `file_name` and any of `model`, `prompt`,
    `seed`. Raises GenerationsError for a folder that is not there or a table that cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise GenerationsError(f"no folder of generations at {folder}; correct `path` of [[generations]] {source!r}")
    stated = _stated(root)
    found = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in PICTURE_ENDINGS and path.is_file():
            name = path.relative_to(root).as_posix()
            found.append(Generation(f"{source}/{name}", source, str(path), **stated.get(name, {})))
    return found


def _stated(root: Path) -> Mapping[str, Mapping[str, Any]]:
    lines, table = root / "generations.jsonl", root / "generations.parquet"
    try:
        if lines.is_file():
            frame = _from_lines(lines)
        elif table.is_file():
            frame = pl.read_parquet(table)
        else:
            return {}
        if "file_name" not in frame.columns:
            raise GenerationsError(f"{root}: the table of generations has no file_name column; found {frame.columns}")
        kinds = {"file_name": pl.String, "model": pl.String, "prompt": pl.String, "seed": pl.Int64}
        wanted = frame.select(
            pl.col(name).cast(kind, strict=False) for name, kind in kinds.items() if name in frame.columns
        )
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        if isinstance(error, GenerationsError):
            raise
        raise GenerationsError(f"{root}: the table of generations cannot be read: {error}") from error
    return {str(row.pop("file_name")): row for row in wanted.to_dicts()}


def _from_lines(path: Path) -> pl.DataFrame:
    rows = [json.loads(line) for line in path.read_bytes().decode(errors="replace").splitlines() if line.strip()]
    names = ("file_name", "model", "prompt", "seed")
    return pl.DataFrame(
        [{name: row.get(name) for name in names} for row in rows], infer_schema_length=None, strict=False
    )
