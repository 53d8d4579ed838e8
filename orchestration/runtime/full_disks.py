"""What to say when a disk takes no more: which folder, and what to do.

What belongs here: recognising it in the messages of Python, Arrow, Lance, DuckDB and SQLite, which each say it in their
own way and mostly without the place. What does not: keeping it apart from broken deliveries
(`transforms/storage/full_disks.py`), what a home's file system can do at all (`runtime/homes.py`).
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

_FULL = "the disk of {path} is full ({free:,} bytes free): free some of it, or {move} to a larger disk"
_KINDS = (
    (re.compile(r"No space left on device|\bos error 28\b|database or disk is full"), _FULL),
    (
        re.compile(r"Disk quota exceeded|\bos error 122\b"),
        "the quota at {path} is used up: free some of it, or {move} to another disk",
    ),
    (
        re.compile(r"File too large|\bos error 27\b"),
        "{path} takes no larger files: raise `ulimit -f`, or {move} to another disk",
    ),
    (
        re.compile(r"Read-only file system|\bos error 30\b"),
        "{path} is mounted read-only: mount it for writing, or {move} to another disk",
    ),
)
# SQLite says this where it cannot grow its shared memory: the disk may be full, or broken.
_PERHAPS_FULL = re.compile(r"disk I/O error")
_LITTLE = 1 << 20
_LANCE = "LanceError"
_QUOTED = re.compile("""["'](/[^"'\n]+)["']""")


def places_of_run(home: Path) -> dict[Path, str]:
    """Return the folders that a run writes to, each with what moves it to another disk.

    Args:
        home: The folder of the warehouse.
    """
    records = Path(os.environ.get("DAGSTER_HOME") or home / "dagster")
    moves = {} if records.is_relative_to(home) else {records: "point DAGSTER_HOME"}
    return {home: "move `home`"} | moves | {Path(tempfile.gettempdir()): "point TMPDIR"}


def explained(message: str, places: Mapping[Path, str]) -> str | None:
    """Return one sentence with path and fix if a message says that a disk takes no more, else None.

    Args:
        message: Of any library.
        places: The folders that may be meant, each with what moves it: first the one of the facts. Where nothing else
            tells, it is the fullest.
    """
    says = next((words for sign, words in _KINDS if sign.search(message)), None)
    if says is None:
        if not (_PERHAPS_FULL.search(message) and min(map(_free, places)) < _LITTLE):
            return None
        says = _FULL
    if quoted := _QUOTED.search(message):
        path = Path(quoted[1])
        move = next((move for folder, move in places.items() if path.is_relative_to(folder)), "move it")
    else:  # Lance names only its own source, SQLite nothing
        path = next(iter(places)) if _LANCE in message else min(places, key=_free)
        move = places[path]
    return says.format(path=path, free=_free(path), move=move)


def _free(folder: Path) -> int:
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free
