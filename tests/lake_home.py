"""Versions that differ as those of runs do, each in a few tables, and a reader that sees whether it gets one whole.

What belongs here: publishing such versions as files, reading, and a writer that stops halfway. What does not: what a
lake then holds (`orchestration/warehouse/test_lake.py`).
"""

import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from orchestration.settings.targets import LakeAddress
from orchestration.warehouse import lake, macros, publishing, sql_folder
from orchestration.warehouse.lake import upkeep, writing
from tests.benchmarks import warehouse

CHANGED = ("catalog.samples", "provenance.sources", "reports.duplicate_frequency")
"""The tables that each version makes, and that say which one did, beside `warehouse.versions` and `.tables`."""
_MARKED = {"catalog.samples": "caption", "provenance.sources": "caption", "reports.duplicate_frequency": "band"}
_ALL = """
    select caption from catalog.samples where caption like 'of version %' union all
    select caption from provenance.sources where caption like 'of version %' union all
    select band from reports.duplicate_frequency where band like 'of version %'
"""
_SMALL = """
    create table catalog.samples (sample_id ubigint, dataset varchar, caption varchar);
    create table fingerprints.images as select range::ubigint as sample_id from range(100);
    create table provenance.sources (sample_id ubigint, caption varchar);
    create table reports.duplicate_frequency (band varchar);
    create table warehouse.versions (version bigint, published_at timestamptz, lance_versions map(varchar, bigint),
        encoders varchar[], settings_hash varchar, recipe varchar, run_id varchar);
    create table warehouse.tables (table_name varchar, made_in bigint, recipe varchar);
    create macro one_more(number) as number + 1;
    create macro captions(least) as table select one_more(sample_id) as after from fingerprints.images
        where sample_id >= least;
    create view duplicates.pictures as select one_more(sample_id) as after from fingerprints.images;
"""


def publish(home: Path, versions: int = 1, clusters: int = 20) -> list[publishing.Version]:
    """Publish that many more versions of a home. Returns the new ones.

    Args:
        home: The folder.
        versions: How many.
        clusters: Repeated pictures of the first version, which has every table. 0: it has a few, with few rows.
    """
    made = []
    with publishing.writer(home, run="the test", wait_s=0):
        for _ in range(versions):
            number = publishing.next_number(home)
            build = publishing.begin(home, "the test", from_current=number > 1)
            if number == 1 and clusters:
                warehouse.make(build, clusters)
            with duckdb.connect(str(build)) as con:
                if number == 1:
                    _begin(con, whole=bool(clusters))
                mark(con, number)
            made.append(publishing.publish(home, build, number, keep=5)[0])
    return made


def _begin(con: duckdb.DuckDBPyConnection, *, whole: bool) -> None:
    if whole:
        macros.create(con, macros.load(sql_folder.SQL))
        con.execute("delete from warehouse.versions")
        return
    for stage in ("catalog", "fingerprints", "duplicates", "provenance", "reports", "warehouse"):
        con.execute(f"create schema {stage}")
    con.execute(_SMALL)


def mark(con: duckdb.DuckDBPyConnection, number: int) -> None:
    """Write into a build which version it is, as runs do, and into its tables who made them."""
    con.execute(
        "insert into warehouse.versions by name select ? as version, now() as published_at, "
        "map {'copy_embeddings': ?} as lance_versions, ['an encoder'] as encoders, 'same' as settings_hash, "
        "'recipe ' || ? as recipe, 'run ' || ? as run_id",
        [number, number, number, number],
    )
    for table, column in _MARKED.items():
        con.execute(f"delete from {table} where {column} like 'of version %'")  # noqa: S608
        con.execute(f"insert into {table} by name select 'of version {number}' as {column}")
    con.execute("update catalog.samples set sample_id = ?, dataset = 'made-up' where sample_id is null", [number])
    con.execute(
        "insert into warehouse.tables by name select schema_name || '.' || duckdb_tables.table_name as table_name, "
        "? as made_in, 'any' as recipe from duckdb_tables() "
        "anti join warehouse.tables on warehouse.tables.table_name = schema_name || '.' || duckdb_tables.table_name",
        [number],
    )
    con.execute(
        "update warehouse.tables set made_in = ? where table_name in ? or table_name like 'warehouse.%'",
        [number, list(CHANGED)],
    )


def read(
    home: Path,
    address: LakeAddress | None,
    stop: Any,  # noqa: ANN401 -- an event
    told: Any,  # noqa: ANN401 -- a queue
    ready: Any = None,  # noqa: ANN401 -- a semaphore
    queries: int = 1,
    pause_s: float = 0,
) -> None:
    """Open the newest version again and again, and see that all of its tables are of one version.

    Args:
        home: The folder of the warehouse.
        address: The lake. None: the file is read.
        stop: An event that ends it.
        told: A queue, which gets how many queries were answered, and what was wrong.
        ready: A semaphore, which is told of the first answer.
        queries: How many are asked before it is closed and opened again.
        pause_s: Seconds between two of them.
    """
    answered, wrong = 0, list[str]()
    while not stop.is_set() or not answered:
        try:
            with lake.open_published(home, address) as con:
                [(version,)] = con.execute("select max(version) from warehouse.versions").fetchall()
                for _ in range(queries):
                    if (found := con.execute(_ALL).fetchall()) != [(f"of version {version}",)] * 3:
                        wrong.append(f"mixed: {version}, {found}")
                    answered += 1
                    if ready is not None and answered == 1:
                        ready.release()
                    if stop.wait(pause_s):
                        break
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
    told.put((answered, wrong))


def bring_up_and_wait(
    version: publishing.Version,
    address: LakeAddress,
    moment: str,
    there: Any,  # noqa: ANN401 -- an event
) -> None:
    """Bring a lake up to a version as far as a moment, and wait there to be killed.

    Args:
        version: The version.
        address: The lake.
        moment: "before the commit", when all rows are written, or "after the commit".
        there: An event, which is set at the moment.
    """

    def wait(*_: object, **__: object) -> None:
        there.set()
        signal.pause()

    if moment == "before the commit":
        writing.json.dumps = wait
    else:
        upkeep.remove_old_versions = wait
    lake.bring_up(version, address, keep=2, grace=timedelta(days=1), memory="1GB")
