"""The training rows as `catalog.samples` shows them, for facts that are computed from rows.

What belongs here: a private DuckDB over the landing files, spilled to disk rather than held in memory. What does not:
the rows' shape (`sql/catalog/samples.sql`).
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import build
from orchestration.warehouse.models import Model, load

SAMPLES = "catalog.samples"


@contextmanager
def opened(facts: Facts, settings: Settings, models: Sequence[str] = (SAMPLES,)) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with views of these models, in this order, over the facts as they are now.

    It is thrown away afterwards. Its rows are never `recalled`: who is recalled is found out with it.
    """
    known = {model.name: model for model in load(build.SQL)}
    wanted: list[Model] = [known[name] for name in models]
    names = {name for model in wanted for name in model.inputs} - {"lance_recalled_rows"}
    nothing = pa.table({})
    inputs = build.Inputs(facts, facts.versions(), settings, nothing, nothing)
    settings.home.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".rows-", dir=settings.home) as folder,
        build.opened(Path(folder, "rows.duckdb"), settings) as con,
    ):
        build.provide(con, sorted(names), inputs)
        build.provide_empty(con, "recalled_rows")
        for model in wanted:
            con.execute(f'create view "{model.stage}"."{model.table}" as {model.select}')
        yield con
