"""Reading one version of a lake, and which versions it has.

What belongs here: connections that keep to one version, like one to a versioned file. What does not: writing
(`lake/writing.py`), what a query may do (`cli/sql/session.py`).
"""

import json
from pathlib import Path

import duckdb

from orchestration.settings.targets import LakeAddress
from orchestration.warehouse import publishing
from orchestration.warehouse.lake.attaching import (
    NAME,
    NotInLake,
    attach,
    connection,
    provide_store,
    reaching,
    require_file,
    stored_folder,
)
from orchestration.warehouse.queries import quoted

AUTHOR = "raisonne"
"""Who committed the snapshots that are versions."""
_PROBE = "probe"


def open_published(home: Path, lake: LakeAddress | None, number: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open a published version read-only: of the lake if there is one, else of the versioned files.

    Args:
        home: The folder of the warehouse.
        lake: `publishing.lake` of the settings.
        number: A version that is still kept. None: the newest.

    Raises:
        NotPublished: If there is no such version, or it cannot be read.
        duckdb.IOException: If a writer has the file open, or this user may not read it.
    """
    return publishing.connect(home, number) if lake is None else connect(lake, number)


def connect(address: LakeAddress, number: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open a version of a lake read-only. Every query of the connection reads this version, whatever is published.

    Args:
        address: The lake.
        number: A version that it still has. None: the newest.

    Raises:
        NotInLake: If there is none, or not this one.
        LakeUnavailable: If it cannot be reached.
        NoLakeExtension: If an extension is missing.
    """
    require_file(address)
    con = connection(address)
    try:
        with reaching(address):
            attach(con, address, "read_only", name=_PROBE)
            held, folder = snapshots(con, _PROBE), stored_folder(con, _PROBE)
            con.execute(f"detach {_PROBE}")
            snapshot = _chosen(address, held, number)
            elsewhere = [f"data_path {quoted(address.data)}", "override_data_path true"] if address.data else []
            provide_store(con, address, address.data or folder)
            attach(con, address, "read_only", f"snapshot_version {snapshot}", *elsewhere)
            con.execute(f"use {NAME}")
    except BaseException:
        con.close()
        raise
    return con


def cursor(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Return a second connection to the version that a connection reads, for queries at the same time."""
    second = con.cursor()
    if second.execute("select 1 from duckdb_databases() where database_name = ?", [NAME]).fetchall():
        second.execute(f"use {NAME}")
    return second


def data_folder(con: duckdb.DuckDBPyConnection, address: LakeAddress) -> str:
    """Return the folder below which all files of an open lake lie, with a slash at its end.

    Args:
        con: From `connect`.
        address: The lake.
    """
    return (address.data or stored_folder(con)).rstrip("/") + "/"


def numbers(address: LakeAddress) -> list[int]:
    """Return the versions that a lake has, oldest first. Raises as `connect`."""
    require_file(address)
    with connection(address) as con, reaching(address):
        attach(con, address, "read_only")
        return sorted(set(snapshots(con).values()))


def snapshots(con: duckdb.DuckDBPyConnection, name: str = NAME) -> dict[int, int]:
    """Return the snapshots that are versions, with the version's number, oldest first.

    Args:
        con: A connection that has the lake attached.
        name: What it is called.
    """
    rows = con.execute(
        f'select snapshot_id, commit_extra_info from "{name}".snapshots() where author = ? order by 1',  # noqa: S608
        [AUTHOR],
    ).fetchall()
    return {snapshot: int(json.loads(about)["version"]) for snapshot, about in rows}


def _chosen(address: LakeAddress, held: dict[int, int], number: int | None) -> int:
    if not held:
        raise NotInLake(f"{address} has no version yet; `raisonne run` publishes the first")
    if number is None:
        return max(held)
    if number not in held.values():
        kept = ", ".join(map(str, sorted(set(held.values()))))
        raise NotInLake(f"{address} does not keep version {number}; it has {kept}")
    return max(snapshot for snapshot, version in held.items() if version == number)
