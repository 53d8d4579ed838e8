"""Whether published files can be read to their last block, and putting a sound one in the place of a damaged one.

What belongs here: reading whole versions, choosing one, the repair. What does not: opening and publishing versions
(`warehouse/publishing.py`), building one from the facts (`warehouse/version.py`).

DuckDB keeps a checksum with each block and compares it as the block is read, so what is read whole is sound.
"""

import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import duckdb

from orchestration.warehouse import publishing
from orchestration.warehouse.publishing import LINK, Version

_EVERY_VERSION_HAS = ("catalog.samples", "warehouse.versions")


def fault(version: Version, memory: str, tables: Collection[str] | None = None) -> str | None:
    """Return why a version cannot be read, or None if it can.

    Args:
        version: The version.
        memory: The most that DuckDB may hold, such as `"4GB"`.
        tables: The tables to read, those that it has. None: all.

    Raises:
        duckdb.Error: If it cannot be told, because the file is open for writing or may not be read.
        NotPublished: If a write-ahead log would be replayed into it.
    """
    if not version.path.exists():
        return "its file is missing"
    try:
        with publishing.open_version(version) as con:
            con.execute("set memory_limit = ?", [memory])
            names = con.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
            present = {name for (name,) in names}
            if missing := [name for name in _EVERY_VERSION_HAS if name not in present]:
                return f"it has no table {missing[0]}"
            for name in sorted(present if tables is None else present.intersection(tables)):
                con.execute(f"select count(*) from {name} as t where hash(t) = 0").fetchall()  # noqa: S608
            [(number,)] = con.execute("select max(version) from warehouse.versions").fetchall()
    except duckdb.Error as error:
        if (told := publishing.damage(error)) is None:
            raise
        return told
    return None if number == version.number else f"its tables are of version {number}"


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
        except FileExistsError:
            told.append(f"{home / LINK} was no link to a version: it is now {publishing.set_aside(home / LINK)}")
        for version in reversed(publishing.history(home)):
            reason = fault(version, memory)
            if reason is None:
                return [*told, _publish(home, version, published)]
            aside = publishing.set_aside(version.path)
            told.append(f"version {version.number} is damaged ({reason}): it is now {aside}, which can be deleted")
        with suppress(FileNotFoundError):
            (home / LINK).unlink()  # to nothing
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
