"""Bringing a lake up to a published version, in one transaction.

What belongs here: which tables differ, writing them, the commit. What does not: which definitions they have
(`lake/definitions.py`), removing old versions (`lake/upkeep.py`).

A table is written if the lake's was made by another version. Which version made a table is in `warehouse.tables`, and
what that version was in `warehouse.versions`, as numbers alone would not tell a home from another.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from orchestration.settings.sections import Publishing
from orchestration.settings.targets import LakeAddress
from orchestration.warehouse import publishing
from orchestration.warehouse.lake import definitions, upkeep
from orchestration.warehouse.lake.attaching import (
    NAME,
    LakeUnavailable,
    NotInLake,
    attach,
    connection,
    reaching,
    require_file,
)
from orchestration.warehouse.lake.reading import AUTHOR
from orchestration.warehouse.publishing import NotPublished
from orchestration.warehouse.queries import quoted
from transforms.readable import first_line

BUILT = "built"
"""What the versioned file is called that a lake is brought up to."""
_INLINE = "data_inlining_row_limit 0"  # small tables as files too, which every reader of lakes can read

type _Versions = Mapping[int, tuple[object, ...]]
"""What tells a version from one of another home with its number, by number."""


class LakeRefused(RuntimeError):
    """A version is not published to a lake, because what is there would be lost or mixed up."""


class LakeNotKept(RuntimeError):
    """A lake has the version, but old versions or files of it could not be removed."""


@dataclass(frozen=True)
class WrittenVersion:
    """What a publish wrote into a lake.

    Attributes:
        number: The version.
        tables: The tables that were written.
        unchanged: Those that the lake had.
    """

    number: int
    tables: tuple[str, ...]
    unchanged: tuple[str, ...]


def bring_up(
    version: publishing.Version,
    address: LakeAddress,
    *,
    keep: int,
    grace: timedelta,
    memory: str,
    spill: Path | None = None,
) -> WrittenVersion | None:
    """Publish a version to a lake, if the lake does not have it yet, and remove old versions from it.

    Args:
        version: A published version.
        address: The lake, made as needed.
        keep: Versions to keep, this one included.
        grace: For how long older ones stay for their readers.
        memory: The most that DuckDB may hold.
        spill: A folder for what does not fit.

    Returns:
        What was written. None: the lake had the version, and nothing was.

    Raises:
        LakeRefused: If the lake belongs to another warehouse or is newer, or a new one's folder is not empty.
        LakeUnavailable: If it cannot be reached.
        LakeNotKept: If the version is there, but old ones cannot be removed.
        NoLakeExtension: If an extension is missing.
        duckdb.Error: If the versioned file cannot be read.
    """
    with _for_writing(address) as con:
        con.execute("set memory_limit = ?", [memory])
        if spill is not None:
            con.execute("set temp_directory = ?", [str(spill)])
        con.execute(f"attach {quoted(str(version.path))} as {BUILT} (read_only)")
        with reaching(address):
            written = _write(con, version, address)
        try:
            upkeep.remove_old_versions(con, keep=keep, grace=grace)
            if written is not None:
                upkeep.remove_orphans(con, grace=grace)
        except duckdb.Error as error:
            told = f"{address} has version {version.number}, but what is old could not be removed"
            raise LakeNotKept(f"{told}: {first_line(error)}; the next run tries again") from None
    return written


def follow(home: Path, settings: Publishing, memory: str) -> WrittenVersion | None:
    """Bring the lake of the settings, if there is one, up to the current version of a home. See `bring_up`.

    Args:
        home: The folder of the warehouse, held for writing, with a published version.
        settings: The lake, and how many versions it keeps.
        memory: The most that DuckDB may hold.

    Raises:
        LakeRefused: likewise; the message says what stands, as for the others.
        LakeUnavailable: likewise.
        NoLakeExtension: likewise.
        LakeNotKept: likewise, and the lake has the version.
    """
    address, version = settings.lake, publishing.current(home)
    if address is None or version is None:
        return None
    grace = timedelta(hours=settings.grace_hours)
    try:
        return bring_up(version, address, keep=settings.keep, grace=grace, memory=memory, spill=home / "builds/lake")
    except (LakeRefused, NotPublished) as error:
        told = f"version {version.number} stands as a file, but is not in the lake: {error}"
        raise type(error)(f"{told}; once that is mended, `raisonne run` brings the lake up to it") from None


@contextmanager
def _for_writing(address: LakeAddress) -> Iterator[duckdb.DuckDBPyConnection]:
    with connection(address) as con:
        stated = [] if address.data is None else [f"data_path {quoted(address.data)}"]
        try:
            require_file(address)
            with reaching(address):
                attach(con, address, _INLINE, "create_if_not_exists false", *stated)
        except NotInLake:
            data = _new_folder(con, address)
            with reaching(address):
                attach(con, address, _INLINE, f"data_path {quoted(data)}")
                con.execute(f"call {NAME}.set_option('parquet_compression', 'zstd')")  # half the bytes of the default
        con.execute(f"use {NAME}")
        yield con


def _new_folder(con: duckdb.DuckDBPyConnection, address: LakeAddress) -> str:
    """Return where the data of a new lake will lie.

    A file there may belong to somebody, or to another lake; what its catalog does not know, a lake removes.
    """
    data = address.data_of_new
    if data is None:
        raise LakeUnavailable(f"{address} is not there yet; set publishing.data_path to make it")
    if address.kind == "sqlite":
        Path(address.catalog).parent.mkdir(parents=True, exist_ok=True)
    with reaching(address):
        found = con.execute("select file from glob(?) limit 1", [f"{data.rstrip('/')}/**"]).fetchall()
    if found:
        raise LakeRefused(f"{found[0][0]} lies where the data of a new lake would; set publishing.data_path to another")
    return data


def _write(con: duckdb.DuckDBPyConnection, version: publishing.Version, address: LakeAddress) -> WrittenVersion | None:
    con.begin()
    try:
        if (written := _changed(con, version, address)) is None:
            con.rollback()
            return None
        about = json.dumps({"version": version.number})
        con.execute(
            f"call {NAME}.set_commit_message(?, ?, extra_info => ?)", [AUTHOR, f"version {version.number}", about]
        )
        con.commit()
    except BaseException:
        with suppress(duckdb.Error):
            con.rollback()
        raise
    return written


def _changed(
    con: duckdb.DuckDBPyConnection, version: publishing.Version, address: LakeAddress
) -> WrittenVersion | None:
    """Write what differs within a transaction. Returns None if the lake has the version."""
    tables, there = definitions.tables(con, BUILT), definitions.tables(con, NAME)
    before, after = _versions(con, NAME, there), _versions(con, BUILT, tables)
    if before:
        newest = max(before)
        _require_same_warehouse(address, before, after)
        if newest > version.number:
            raise LakeRefused(
                f"{address} has version {newest}, newer than version {version.number} of this home; publish from the "
                "home that has it, or publish the next version here"
            )
        if newest == version.number:
            return None
    elif definitions.holds_anything(con, NAME):
        raise LakeRefused(f"{address} holds other tables than a warehouse's; set publishing.target to a new place")
    made, wanted = _made(con, NAME, there), _made(con, BUILT, tables)
    unchanged = {
        name
        for name in there.keys() & tables.keys()
        if (by := wanted.get(name, -1)) == made.get(name) and by in before and before[by] == after.get(by)
    }
    definitions.replace(con, NAME, BUILT, [name for name in tables if name not in unchanged])
    return WrittenVersion(
        version.number,
        tuple(name for name in tables if name not in unchanged),
        tuple(name for name in tables if name in unchanged),
    )


def _require_same_warehouse(address: LakeAddress, before: _Versions, after: _Versions) -> None:
    newest = max(before)
    if not before.items() & after.items() or before[newest] != after.get(newest, before[newest]):
        raise LakeRefused(
            f"{address} holds another warehouse, or this one before its list of versions was lost; set "
            "publishing.target and publishing.data_path to a new place"
        )


def _versions(con: duckdb.DuckDBPyConnection, database: str, tables: Collection[str]) -> _Versions:
    if "warehouse.versions" not in tables:
        return {}
    what = "version, epoch_us(published_at), run_id, recipe, settings_hash"
    rows = con.execute(f"select {what} from {database}.warehouse.versions").fetchall()  # noqa: S608
    return {row[0]: row[1:] for row in rows}


def _made(con: duckdb.DuckDBPyConnection, database: str, tables: Collection[str]) -> dict[str, int]:
    if "warehouse.tables" not in tables:
        return {}
    return dict(con.execute(f"select table_name, made_in from {database}.warehouse.tables").fetchall())  # noqa: S608
