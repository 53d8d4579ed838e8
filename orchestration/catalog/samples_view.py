"""The training rows as `catalog.samples` shows them, for facts that are computed before anything is published.

What belongs here: a private DuckDB over the landing files, which spills to disk rather than hold rows in memory. What
does not: the shape of the rows (`sql/catalog/samples.sql`).
"""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import build, functions, sql_folder
from orchestration.warehouse.models import Model, load

SAMPLES = "catalog.samples"
DELIVERY = ("shard_id", "readable_path", "metadata_size", "metadata_mtime_ns")
"""What tells the deliveries of a shard's rows apart, see `deliveries`."""


@contextmanager
def open_view(
    facts: Facts, settings: Settings, models: Sequence[str] = (SAMPLES,), files: Collection[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with views of some models over the current facts, and delete it when the context ends.

    `recalled` is always false here, because opt-outs are computed from this view.

    Args:
        facts: The fact tables that the models read.
        settings: The limit of DuckDB's memory, and the home that holds the database.
        models: Names of the models, in an order in which they can be created.
        files: The metadata files to read; None: all.
    """
    known = _models()
    chosen = [known[name] for name in models]
    names = {name for model in chosen for name in model.inputs} - {"lance_recalled_rows"}
    nothing = pa.table({})
    inputs = build.Inputs(facts, facts.versions(), settings, nothing, nothing, landing_files=files)
    settings.home.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".rows-", dir=settings.home) as folder,
        build.open_build(Path(folder, "rows.duckdb"), settings) as con,
    ):
        build.provide(con, sorted(names), inputs)
        build.provide_empty(con, "recalled_rows")
        for model in chosen:
            con.execute(f'create view "{model.stage}"."{model.table}" as {model.select}')
        yield con


def deliveries(facts: Facts, where: str | None = None) -> pa.Table:
    """Return what tells the deliveries of each shard's rows apart. Rows that are listed from a dump come with the dump.

    Args:
        facts: The fact tables; `landing_shards` is read.
        where: A Lance filter; without one, all shards.
    """
    dump = "images_size", "images_mtime_ns"
    landed = facts["landing_shards"].read([*DELIVERY, *dump], where).sort_by("shard_id")
    for name in dump:
        at = landed.schema.get_field_index(column := name.replace("images", "metadata"))
        landed = landed.set_column(at, column, pc.coalesce(landed[column], landed[name]))
    return landed.select(DELIVERY)


def rules(models: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the words of the SQL of some models, for the recipe of a fact that is computed from them."""
    known, called = _models(), functions.load(sql_folder.SQL)
    return {name: functions.words(known[name].select, called) for name in models}


def _models() -> dict[str, Model]:
    return {model.name: model for model in load(sql_folder.SQL)}
