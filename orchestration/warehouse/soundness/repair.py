"""The newest sound version in the place of a damaged one.

What belongs here: choosing the version, setting aside what is damaged. What does not: finding damage
(`warehouse/soundness/faults.py`), the command (`cli/state/doctor.py`).
"""

import tempfile
from contextlib import suppress
from pathlib import Path

from orchestration.warehouse import publishing
from orchestration.warehouse.publishing import LINK, Version
from orchestration.warehouse.soundness.faults import fault


def repair(home: Path, memory: str) -> list[str]:
    """Make the newest sound version the published one, and set aside what is damaged. Nothing is deleted.

    Args:
        home: The folder of the warehouse.
        memory: The most that DuckDB may hold.

    Returns:
        Sentences that say what was found and done.

    Raises:
        Busy: If a run holds the warehouse.
        duckdb.Error: If it cannot be told whether a version is sound.
        NotPublished: likewise.
        OSError: If the file system refuses.
    """
    if not home.is_dir():
        return [f"{home} is not there yet: `raisonne run` makes it"]
    with publishing.lock(home):
        told = []
        published: Version | None = None
        try:
            published = publishing.current(home)
        except publishing.LinkReplaced:
            told.append(f"{home / LINK} was no link to a version: it is now {publishing.set_aside(home / LINK)}")
        for version in reversed(publishing.history(home)):
            reason = fault(version, memory)
            if reason is None:
                return [*told, _publish(home, version, published)]
            aside = publishing.set_aside(version.path)
            told.append(f"version {version.number} is damaged ({reason}): it is now {aside}, which can be deleted")
        with suppress(FileNotFoundError):
            (home / LINK).unlink()  # dangling
        if not told and published is None:
            return ["nothing is published yet; run `raisonne run`"]
        return [
            *told,
            "no sound version is kept: `raisonne run` builds one from the facts; the list of versions is lost",
        ]


def _publish(home: Path, version: Version, published: Version | None) -> str:
    if version == published:
        return f"version {version.number} is published and sound: nothing to repair"
    with tempfile.TemporaryDirectory(prefix=".repair-", dir=home) as scratch:
        publishing.turn(home, version, Path(scratch))
    return f"version {version.number} is sound and published again; `raisonne run` publishes the next"
