"""Generated images: found in a folder, with prompt, seed and model where a table beside them says so.

What belongs here: finding generations, and the views of each that are searched with. What does not: hashing
(`fingerprints.py`), searching (`search.py`).
"""

import json
from collections.abc import Mapping
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


def _tiles(side: float) -> list[View]:
    corners = {
        "top-left": (0, 0),
        "top-right": (1, 0),
        "bottom-left": (0, 1),
        "bottom-right": (1, 1),
        "centre": (0.5, 0.5),
    }
    rest = 1 - side
    return [View(f"{name} {side:g}", Box(x * rest, y * rest, side, side)) for name, (x, y) in corners.items()]


WHOLE = Box(0.0, 0.0, 1.0, 1.0)
# SSCD finds a crop of a source in the whole generation; a source that fills only part of it needs a part to look with.
VIEWS = (View("whole", WHOLE), View("mirrored", WHOLE, mirrored=True), *_tiles(0.6))


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
