"""What a warehouse keeps on disk, and what makes each part smaller.

What belongs here: measuring the folders of a home. What does not: deleting anything (each owner does), free space
(`runtime/installation.py`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration.runtime.history.run_logs import logged_runs
from orchestration.settings import Settings
from orchestration.warehouse import publishing
from transforms.readable import count

_NAMED = 5


@dataclass(frozen=True)
class Holding:
    """A part of what lies in a home.

    Attributes:
        name: The part, as its folder is called.
        bytes: Its size.
        meaning: What it is, and what frees it.
    """

    name: str
    bytes: int
    meaning: str


def holdings(settings: Settings, dagster: Path) -> list[Holding]:
    """Return what lies in the home, part by part, with what frees it.

    Args:
        settings: Of the warehouse.
        dagster: Dagster's home.
    """
    home, keep = settings.home, settings.publishing
    kept, logs = len(publishing.history(home)), logged_runs(dagster)
    parts = {
        "facts": "fingerprints, joins, matches; `raisonne run` deletes old states of them after a day",
        "versions": f"{count(kept, 'published version')}; publishing.keep = {keep.keep} bounds them{_set_aside(home)}",
        "exports": "reports and removal lists, deleted with their version; `raisonne export` writes them again",
        "guard": "bundles for `raisonne check`, deleted with their version; `raisonne export guard` writes them again",
        "listed": "rows of dumps that came without metadata; needed",
        "repaired": "metadata that had to be converted; needed",
        "builds": "a run's unfinished version; the next run deletes what a killed one left",
        "fetched": "files of an object store while they are read; the next run deletes what a killed one left",
    }
    found = [Holding(name, size, meaning) for name, meaning in parts.items() if (size := bytes_of(home / name))]
    if size := bytes_of(dagster):
        meaning = (
            f"Dagster's records, with logs of {count(logs, 'run')}; publishing.run_logs = {keep.run_logs} bounds them"
        )
        found.append(Holding("dagster", size, meaning))
    named = {home / name for name in parts} | {dagster}
    others = [path for path in sorted(home.glob("*")) if path not in named and not path.is_symlink()]
    if size := sum(map(bytes_of, others)):
        found.append(Holding("other", size, ", ".join(path.name for path in others[:_NAMED])))
    return sorted(found, key=lambda each: -each.bytes)


def _set_aside(home: Path) -> str:
    damaged = [path.name for path in (home / "versions").glob("damaged-*")]
    return f"; delete the damaged {', '.join(damaged[:_NAMED])}" if damaged else ""


def bytes_of(path: Path) -> int:
    """Return the bytes that a file or folder takes. What is deleted while it is measured counts nothing."""
    return sum(_taken(each) for each in (path, *_below(path)))


def _taken(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_blocks * 512 if hasattr(found, "st_blocks") else found.st_size


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))
