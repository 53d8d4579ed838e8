"""Damage to a published file, found before it is used, or reported as it is met.

What belongs here: reading a version for damage. What does not: what is done about it (`warehouse/soundness/repair.py`,
`warehouse/version.py`), which errors say that a file is damaged (`warehouse/publishing/opening.py`).

DuckDB keeps a checksum with each block and compares it as the block is read, so what is read whole is sound. Where only
some tables are asked for, these checksums are held first, and nothing else is read if they are right.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.warehouse import publishing
from orchestration.warehouse.publishing import Version
from orchestration.warehouse.soundness import blocks

_EVERY_VERSION_HAS = ("catalog.samples", "warehouse.versions")


@contextmanager
def reading(home: Path, number: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a published version for the length of a block, in which damage to it raises Damaged.

    Args:
        home: The folder of the warehouse.
        number: A version that is still kept; None for the current one.

    Raises:
        NotPublished: If there is no such version.
        Damaged: If it cannot be read.
    """
    with publishing.connect(home, number) as con:
        try:
            yield con
        except duckdb.Error as error:
            if publishing.damage(error) is None:
                raise
            raise publishing.Damaged(publishing.explained(error)) from error


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
            read = sorted(present if tables is None else present.intersection(tables))
            whole = tables is None or not _blocks_hold(con, version.path, read)
            for name in read if whole else ():
                con.execute(f"select count(*) from {name} as t where hash(t) = 0").fetchall()  # noqa: S608
            [(number,)] = con.execute("select max(version) from warehouse.versions").fetchall()
    except duckdb.Error as error:
        if (told := publishing.damage(error)) is None:
            raise
        return told
    return None if number == version.number else f"its tables are of version {number}"


def _blocks_hold(con: duckdb.DuckDBPyConnection, path: Path, tables: Collection[str]) -> bool:
    try:
        return blocks.hold(con, path, tables)
    except OSError:
        return False  # as DuckDB will say in its words
