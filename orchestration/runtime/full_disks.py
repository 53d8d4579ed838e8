"""What to report when a disk takes no more: which folder, and what to do.

What belongs here: recognising it in the messages of Python, Arrow, Lance, DuckDB and SQLite, which each say it in their
own way and mostly without the place. What does not: keeping it apart from broken deliveries
(`transforms/storage/full_disks.py`), what a home's file system can do at all (`runtime/homes.py`).
"""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestration.runtime import homes
from transforms.readable import harmless
from transforms.storage.staging import UNFINISHED

_FULL = "the disk of {path} is full ({free:,} bytes free now): free some of it, or {move} to a larger disk"
_KINDS = (  # what the system says, its number, and what is said here
    ("No space left on device|database or disk is full", 28, _FULL),
    ("Disk quota exceeded", 122, "the quota at {path} is used up: free some of it, or {move} to another disk"),
    ("File too large", 27, "{path} takes no larger files: raise `ulimit -f`, or {move} to another disk"),
    (
        "Read-only file system",
        30,
        "{path} is mounted read-only: mount it for writing, or {move} to another disk",
    ),
)
# SQLite says this where it cannot grow its shared memory: the disk may be full, or broken.
_PERHAPS_FULL = re.compile(r"disk I/O error")
_LITTLE = 1 << 20
_LANCE = "LanceError"
_QUOTED = re.compile(r"""(["'])(?:(?!\1)[^\n])*\1""")
_PATH = re.compile(r"""(["'])(/(?:(?!\1)[^\n])+)\1""")


def places_of_run(home: Path) -> dict[Path, str]:
    """Return the folders that a run writes to, each with what moves it to another disk.

    Args:
        home: The folder of the warehouse.
    """
    records = homes.dagster_folder(home)
    moves = {} if records.is_relative_to(home) else {records: "point DAGSTER_HOME"}
    return {home: "move `home`"} | moves | {Path(tempfile.gettempdir()): "point TMPDIR"}


def explained(message: str, places: Mapping[Path, str]) -> str | None:
    """Return one sentence with path and fix if a message says that a disk takes no more, else None.

    Where these words may be those of a caption or of a file's name, the sentence follows the message.

    Args:
        message: Of any library.
        places: The folders that may be meant, each with what moves it: first the one of the facts. Where nothing else
            tells, it is the fullest.
    """
    own = _QUOTED.sub("''", message)
    says = next((told for words, code, told in _KINDS if _is_error(words, code, own)), None)
    if says is None and _PERHAPS_FULL.search(own) and min(map(free, places)) < _LITTLE:
        says = _FULL
    if says is not None:
        return _sentence(says, message, places)
    says = next((told for words, code, told in _KINDS if re.search(rf"{words}|\bos error {code}\b", message)), None)
    return says and f"{harmless(message)}; perhaps {_sentence(says, message, places)}"


def _is_error(words: str, code: int, message: str) -> bool:
    """Return whether a message, without what it quotes, states an error: as a clause of its own, or by its number."""
    clause = rf"(?:^|[:)\]] )(?:{words})(?!\.?\w)"
    return (
        re.search(rf"{clause}|\[errno {code}\]|\(os error {code}\)", message, re.IGNORECASE | re.MULTILINE) is not None
    )


def _sentence(says: str, message: str, places: Mapping[Path, str]) -> str:
    if quoted := _PATH.findall(message):
        path = _lasting(Path(quoted[-1][1]))  # of '/from' -> '/to', the one that is written
        move = next((move for folder, move in places.items() if path.is_relative_to(folder)), "move it")
    else:  # Lance names only its own source, SQLite nothing
        path = next(iter(places)) if _LANCE in message else min(places, key=free)
        move = places[path]
    return says.format(path=path, free=free(path), move=move)


def _lasting(path: Path) -> Path:
    """Return a path, or the folder of the unfinished files that it lies in, which are gone by now."""
    return next((each.parent for each in path.parents if each.name.startswith(UNFINISHED)), path)


def free(folder: Path) -> int:
    """Return the free bytes of the disk of a folder, which need not be there yet."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free
