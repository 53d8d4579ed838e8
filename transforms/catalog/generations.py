"""Generated images in a folder, with prompt, seed and model if a table in the folder states them.

What belongs here: finding generations. What does not: hashing them (`fingerprints/fingerprint.py`), the views of each
that are searched with (`fingerprints/views.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from transforms.pictures import PICTURE_ENDINGS


class GenerationsError(ValueError):
    """A folder of generations cannot be used; the message names it and the fix."""


@dataclass(frozen=True)
class Generation:
    """A generated image and its metadata; None for what is not stated."""

    generation_id: str
    source: str
    path: str
    model: str | None = None
    prompt: str | None = None
    seed: int | None = None


def find(source: str, folder: str) -> list[Generation]:
    """Find the images below a folder, in order of their paths.

    `generations.jsonl` or `generations.parquet` in the folder may state `file_name` and any of `model`, `prompt`,
    `seed`.

    Args:
        source: Name of the folder in the settings.
        folder: Its path.

    Raises:
        GenerationsError: If the folder is missing, or its table cannot be read.
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
