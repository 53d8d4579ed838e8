"""A home whose versions differ as those of runs do: each in a few tables, of which it says that it made them.

What belongs here: publishing such versions as files. What does not: bringing a lake up to them
(`orchestration/warehouse/test_lake.py`).
"""

from pathlib import Path

import duckdb

from orchestration.warehouse import macros, publishing, sql_folder
from tests.benchmarks import warehouse

CHANGED = ("catalog.samples", "provenance.sources", "reports.duplicate_frequency")
"""The tables that each version makes, and that say which one did, beside `warehouse.versions` and `.tables`."""
_MARKED = {"catalog.samples": "caption", "provenance.sources": "caption", "reports.duplicate_frequency": "band"}


def publish(home: Path, versions: int = 1, clusters: int = 20) -> list[publishing.Version]:
    """Publish that many more versions of a home. Returns the new ones."""
    made = []
    with publishing.writer(home, run="the test", wait_s=0):
        for _ in range(versions):
            number = publishing.next_number(home)
            build = publishing.begin(home, "the test", from_current=number > 1)
            if number == 1:
                warehouse.make(build, clusters)
            with duckdb.connect(str(build)) as con:
                if number == 1:
                    macros.create(con, macros.load(sql_folder.SQL))
                    con.execute("delete from warehouse.versions")
                _mark(con, number)
            made.append(publishing.publish(home, build, number, keep=5)[0])
    return made


def _mark(con: duckdb.DuckDBPyConnection, number: int) -> None:
    con.execute(
        "insert into warehouse.versions by name select ? as version, now() as published_at, "
        "map {'copy_embeddings': ?} as lance_versions, ['an encoder'] as encoders, 'same' as settings_hash, "
        "'recipe ' || ? as recipe, 'run ' || ? as run_id",
        [number, number, number, number],
    )
    for table, column in _MARKED.items():
        con.execute(f"delete from {table} where {column} like 'of version %'")  # noqa: S608
        con.execute(f"insert into {table} by name select 'of version {number}' as {column}")
    con.execute(
        "insert into warehouse.tables select schema_name || '.' || table_name, ?, 'any' from duckdb_tables() "
        "anti join warehouse.tables on warehouse.tables.table_name = schema_name || '.' || duckdb_tables.table_name",
        [number],
    )
    con.execute(
        "update warehouse.tables set made_in = ? where table_name in ? or table_name like 'warehouse.%'",
        [number, list(CHANGED)],
    )
