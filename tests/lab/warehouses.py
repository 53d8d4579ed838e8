"""The warehouses of the laboratory: runs as users have them, on settings written here.

What belongs here: settings, the removal list, runs, with the faster storage of Dagster's records. What does not:
reading what comes out (`results.py`).

Both models' generations are held against all rows that the first model was trained on, so that a picture stands in the
same rung of the ladder before and after. Each has a warehouse of its own, as `provenance.duplication_effect` counts the
generations of a warehouse together.
"""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq

import raisonne
from orchestration import settings
from orchestration.runtime import instance
from tests.lab.dataset import DECOYS, TRAINING, Key
from tests.lab.recipe import Places, Recipe

ROOT = Path(__file__).resolve().parents[2]
POLICY, REMOVED = "keep-1", "removal.parquet"
_DATASET = """
[[datasets]]
name     = "{name}"
metadata = "{folder}/*.parquet"
images   = "{folder}/*.tar"
"""


class RunFailed(RuntimeError):
    """A run or a command failed. The message says why, or the command has said it."""


def removal_list(recipe: Recipe, places: Places) -> set[Key]:
    """Return the rows that `raisonne export removal-list` names; the list is written once."""
    if not (places.removal / "manifest.json").exists():
        nothing = places.home / "generations" / "none"
        nothing.mkdir(parents=True, exist_ok=True)
        config = _settings(recipe, places, "deduplication", [TRAINING], nothing)
        _run(config)
        _export(config, "removal-list", "--policy", POLICY, "--to", str(places.removal))
    table = pq.read_table(places.removal / REMOVED, columns=["dataset", "shard", "row_number"])
    return {(row["shard"], row["row_number"]) for row in table.to_pylist() if row["dataset"] == TRAINING}


def run(recipe: Recipe, places: Places, name: str, generations: Path | None = None) -> Path:
    """Run the warehouse of some generations, by default those of that name. Returns the published database."""
    _run(_settings(recipe, places, name, [TRAINING, DECOYS], generations or places.generations(name)))
    return places.warehouse(name) / "raisonne.duckdb"


def _run(config: Path) -> None:
    """Run everything that is due, in this process. Raises RunFailed, also for shards that could not be used."""
    with patch.dict(os.environ, _environment(), clear=True):
        instance.choose_fast_storage(settings.load(config).home)
        try:
            done = raisonne.run(config)
        except raisonne.RunError as error:
            raise RunFailed(f"{config}: {error}") from None
    if done.unusable:
        raise RunFailed(f"{config}: {'; '.join(f'{shard}: {why}' for shard, why in done.unusable.items())}")


def _export(config: Path, *arguments: str) -> None:
    """Export in a process of its own. Raises RunFailed; what the command says goes to the terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", "export", *arguments],
        env=_environment() | {"RAISONNE_CONFIG": str(config)},
        cwd=ROOT,
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        raise RunFailed(f"raisonne export {' '.join(arguments)} with {config} ended with exit code {done.returncode}")


def _environment() -> dict[str, str]:
    """Return the environment without what chooses another warehouse."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("RAISONNE_", "DAGSTER_HOME"))}


def _settings(recipe: Recipe, places: Places, name: str, datasets: list[str], generations: Path) -> Path:
    """Write the settings of a warehouse. The pictures are searched whole: no view of a part says more of 32 pixels."""
    text = f'home = "{places.warehouse(name)}"\n'
    for dataset in datasets:
        text += _DATASET.format(name=dataset, folder=places.home / dataset)
    text += f'\n[[generations]]\nname = "{name}"\npath = "{generations}"\n\n[search]\nscales = []\nflips = "none"\n'
    path = places.home / f"{name}.toml"
    path.write_text(f"{text}\n{recipe.warehouse}", "utf-8")
    return path
