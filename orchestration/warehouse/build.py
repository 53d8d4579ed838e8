"""Building a warehouse file: inputs into temporary tables, SQL models in order, audits, the data dictionary.

What belongs here: one DuckDB connection from empty file to audited file. What does not: choosing what is built
(`warehouse/version.py`), publishing it (`warehouse/publishing/`), the models (`sql/`).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.filters import is_in
from orchestration.settings import Settings
from orchestration.warehouse import functions, grain, landing_view, macros, sql_folder
from orchestration.warehouse.models import STAGES, Check, Model
from orchestration.warehouse.previous import TABLES, Previous
from transforms.readable import count

_EXAMPLES = 3
_QUERY = re.compile(r"\b(select|from)\b", re.IGNORECASE)
_MADE = {"table_name": pa.string(), "made_in": pa.int64()}
MADE_TABLES = pa.schema(_MADE | {"recipe": pa.string(), "shared_recipe": pa.string()})
"""The columns of `warehouse.tables`."""
MADE_SHARDS = pa.schema(_MADE | {"shard_id": pa.int64()})
"""The columns of `warehouse.shards`."""


@dataclass(frozen=True)
class Audit:
    """The result of one check.

    Attributes:
        failing: The count of rows that break the promise.
        examples: The first of them, as text.
    """

    model: Model
    check: Check
    failing: int
    examples: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The promise if it holds, or how many rows break it, with examples."""
        if not self.failing:
            return f"{self.model.name}: {self.check.sentence}"
        examples = "; ".join(self.examples)
        return f"{self.model.name}: {count(self.failing, 'row')} where not: {self.check.sentence}; such as {examples}"


@dataclass(frozen=True)
class Inputs:
    """Inputs of models besides other models: facts at fixed versions, settings, this version and earlier ones.

    Attributes:
        this_version: The row of `warehouse.versions` that is about to be published.
        previous_versions: The rows published so far.
        previous: Tables of the published version that the next one is compared with.
        landing_files: The metadata files to read; None: all.
        shards: The shards whose rows are read, of facts whose rows belong to shards; None: all.
        made_tables: The rows of `warehouse.tables`.
        made_shards: Those of `warehouse.shards`.
    """

    facts: Facts
    fact_versions: Mapping[str, int]
    settings: Settings
    this_version: pa.Table
    previous_versions: pa.Table
    previous: Previous = field(default_factory=Previous)
    landing_files: Collection[str] | None = None
    shards: Collection[int] | None = None
    made_tables: pa.Table = field(default_factory=MADE_TABLES.empty_table)
    made_shards: pa.Table = field(default_factory=MADE_SHARDS.empty_table)


@contextmanager
def open_build(path: Path, settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a private build for writing, with all functions. Closing leaves no log file.

    Args:
        path: The file, created as needed.
        settings: The limit of DuckDB's memory.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": settings.memory.duckdb,
        "temp_directory": str(path.with_suffix(".spill")),
        "autoinstall_known_extensions": "false",
    }
    with duckdb.connect(str(path), config=config) as con:
        con.begin()  # so that the file is written to once
        for stage in STAGES:
            con.execute(f'create schema if not exists "{stage}"')
        macros.create(con, functions.load(sql_folder.SQL))
        con.commit()
        yield con
        con.execute("checkpoint")


def provide(con: duckdb.DuckDBPyConnection, names: Sequence[str], inputs: Inputs) -> None:
    """Create the unqualified tables that models read, as temporary tables and views of this connection.

    Facts are streamed from Lance without their vectors, which no model reads.

    Args:
        con: A connection to a build.
        names: The tables, as models name them.
        inputs: The sources of the tables.

    Raises:
        KeyError: If a name is neither an input nor a fact table.
    """
    for name in names:
        if name == "landing_metadata":
            landing_view.create(con, inputs.facts, _landing_files(inputs))
        elif name == "settings":
            _temporary(con, name, settings_row(inputs.settings))
        elif name in {"this_version", "previous_versions", "made_tables", "made_shards"}:
            _temporary(con, name, getattr(inputs, name))
        elif name in TABLES:
            _temporary(con, name, inputs.previous.read(name))
        else:
            table = name.removeprefix("lance_")
            _provide_fact(con, table, inputs)


def _landing_files(inputs: Inputs) -> Collection[str] | None:
    if inputs.shards is None:
        return inputs.landing_files
    landed = inputs.facts[grain.LANDED].dataset(inputs.fact_versions[grain.LANDED])
    rows = landed.to_table(["readable_path"], filter=is_in("shard_id", inputs.shards))
    return {path for path in rows["readable_path"].to_pylist() if path is not None}


def _provide_fact(con: duckdb.DuckDBPyConnection, table: str, inputs: Inputs) -> None:
    name, shard, columns = f"lance_{table}", grain.shard_of(table), columns_read(table)
    chosen = None if inputs.shards is None or not shard else inputs.shards
    where = is_in("shard_id", chosen) if chosen is not None and "shard_id" in columns else None
    con.execute("set preserve_insertion_order = false")  # no model depends on it, and it takes three times as long
    _temporary(con, name, inputs.facts[table].reader(inputs.fact_versions[table], columns, where))
    con.execute("reset preserve_insertion_order")  # not after an error, which a second one would hide
    if chosen is not None:
        con.execute(f'delete from temp."{name}" where {shard} not in (select unnest(?::bigint[]))', [list(chosen)])  # noqa: S608


def withdraw(con: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Drop fact tables that `provide` created, so that they need no memory any more. Other inputs stay.

    Args:
        con: The connection that has them.
        names: Inputs of models.
    """
    for name in names:
        if name.removeprefix("lance_") in SCHEMAS:
            con.execute(f'drop table temp."{name}"')


def provide_columns(con: duckdb.DuckDBPyConnection, names: Iterable[str], inputs: Inputs) -> None:
    """Create inputs of models for their columns alone: fact tables and landing metadata without rows.

    Args:
        con: A connection to a build.
        names: The tables, as models name them.
        inputs: The sources of the others.
    """
    for name in names:
        if (table := name.removeprefix("lance_")) in SCHEMAS:
            provide_empty(con, table)
        else:
            provide(con, [name], replace(inputs, landing_files=()))


def provide_empty(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """Create a fact table without rows, as a temporary table of this connection.

    Args:
        con: Open on a build.
        table: The fact table.
    """
    _temporary(con, f"lance_{table}", SCHEMAS[table].empty_table().select(columns_read(table)))


def columns_read(table: str) -> list[str]:
    """Return the columns of a fact table that models may read: all but vectors."""
    return [field.name for field in SCHEMAS[table] if field.name != "vector"]


def settings_row(settings: Settings) -> pa.Table:
    """Return the settings that models read, as the one row of the table `settings`."""
    named = settings.encoders
    encoders = {
        "copy_encoder": named.by_purpose.get("copy", "").partition(":")[0] or None,
        # as the model is called everywhere else: without the place its weights were read from
        "semantic_encoder": named.semantic and named.semantic.partition("/")[0],
    }
    names = pa.schema([(name, pa.string()) for name in encoders])
    calibration = {f"calibration_{name}": getattr(settings.calibration, name) for name in ("level", "tail")}
    row = pa.Table.from_pylist([settings.thresholds.model_dump() | calibration])
    for name_of, column in zip(names, pa.Table.from_pylist([encoders], names).columns, strict=True):
        row = row.append_column(name_of, column)
    for name, numbers in ({"semdedup": ()} | settings.policies.numbers).items():
        row = row.append_column(f"policy_{name}", pa.array([list(numbers)], pa.list_(pa.int64())))
    row = row.append_column("policy_stays", pa.array([list(settings.policies.stays)], pa.list_(pa.string())))
    for name, number in settings.memorization.model_dump().items():
        row = row.append_column(f"memorization_{name}", pa.array([number]))
    return row


def _temporary(con: duckdb.DuckDBPyConnection, name: str, data: pa.Table | pa.RecordBatchReader) -> None:
    con.register("arriving", data)
    con.execute(f'create or replace temporary table "{name}" as select * from arriving')  # noqa: S608 -- our own name
    con.unregister("arriving")


def materialize(con: duckdb.DuckDBPyConnection, model: Model) -> int:
    """Build one model with its comments.

    Args:
        con: A connection to a build with the tables that the model reads.
        model: The model.

    Returns:
        Its count of rows.

    Raises:
        RuntimeError: If the SELECT fails; the message names the file.
    """
    try:
        try:
            _make(con, model)
        except duckdb.OutOfMemoryException:  # threads that run short at once may stop where one would spill
            [(threads,)] = con.execute("select current_setting('threads')").fetchall()
            con.execute("set threads = 1")
            try:
                _make(con, model)
            finally:
                con.execute(f"set threads = {threads}")
        return count_rows(con, model)
    except duckdb.Error as error:
        raise RuntimeError(f"{model.path}: {error}") from error


def _make(con: duckdb.DuckDBPyConnection, model: Model) -> None:
    con.begin()  # so that a table and its comments are written to the disk once
    try:
        _drop_other_kind(con, model)
        con.execute("\n;\n".join((model.create, *model.comments)))
        con.commit()
    except duckdb.Error:
        with suppress(duckdb.Error):  # it may have ended the transaction itself
            con.rollback()
        raise


def _drop_other_kind(con: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Drop what has the name of a model and is a view where the model is a table, which `create or replace` refuses."""
    other, found = ("table", "duckdb_tables()") if model.view else ("view", "duckdb_views()")
    named = f"select 1 from {found} where schema_name = ? and {other}_name = ? and not internal"  # noqa: S608
    if con.execute(named, [model.stage, model.table]).fetchall():
        con.execute(f'drop {other} "{model.stage}"."{model.table}"')


def count_rows(con: duckdb.DuckDBPyConnection, model: Model) -> int:
    """Return how many rows the table or view of a model has.

    Args:
        con: A connection to a build that has it.
        model: The model.
    """
    return int(con.execute(f'select count(*) from "{model.stage}"."{model.table}"').fetchall()[0][0])  # noqa: S608


def audit(
    con: duckdb.DuckDBPyConnection, model: Model, changed: str | None = None, part: str = "sample_id"
) -> Iterator[Audit]:
    """Check what was built. The promises of single rows are checked in one pass.

    Args:
        con: A connection to a build with the model's table.
        model: The model whose checks run.
        changed: Which rows were made for this version; the others kept their promises in the last one. None: all.
        part: The column whose value is never the same in a row that was made for this version and in one that was not.
    """
    made = changed or "true"
    of_rows = [check for check in model.checks if check.condition]
    breaking: dict[str, int] = {}
    if of_rows:
        # a condition with a query of its own may fail for a row that did not change, and a row that failed one that
        # does not block was published
        whole = [not check.blocks or bool(_QUERY.search(check.condition or "")) for check in of_rows]
        breaks = ", ".join(
            f"({'' if whole[number] else f'{made} and '}({check.condition})) as breaks_{number}"
            for number, check in enumerate(of_rows)
        )
        rows_of = f'select {breaks} from "{model.stage}"."{model.table}"'  # noqa: S608 -- conditions may hold queries
        if changed and not any(whole):
            rows_of += f" where {changed}"
        counts = ", ".join(f"count(*) filter (where breaks_{number})" for number in range(len(of_rows)))
        found = con.execute(f"select {counts} from ({rows_of})").fetchall()[0]  # noqa: S608
        breaking = {check.name: int(failing) for check, failing in zip(of_rows, found, strict=True)}
    for check in model.checks:
        if check.condition is None:
            keys = ", ".join(f'"{column}"' for column in check.key)
            among = made if part in check.key else "true"
            repeated = (
                f'select 1 from "{model.stage}"."{model.table}" where {among} group by {keys} having count(*) > 1'  # noqa: S608
            )
            holds = not con.execute(f"select 1 from ({repeated}) limit 1").fetchall()  # noqa: S608
            failing = 0 if holds else con.execute(f"select count(*) from ({check.sql})").fetchall()[0][0]  # noqa: S608
        else:
            failing = breaking[check.name]
        rows = con.execute(f"select * from ({check.sql}) limit {_EXAMPLES}").fetchall() if failing else []  # noqa: S608
        yield Audit(model, check, failing, tuple(str(row)[:300] for row in rows))


def audit_unchanged(con: duckdb.DuckDBPyConnection, model: Model) -> Iterator[Audit]:
    """Check a table that the last version had too: it was published, so what keeps one from being published holds.

    Args:
        con: A connection to a build with the model's table.
        model: The model, with the checks of the last version.
    """
    for check in model.checks:
        failing = 0 if check.blocks else con.execute(f"select count(*) from ({check.sql})").fetchall()[0][0]  # noqa: S608
        rows = con.execute(f"select * from ({check.sql}) limit {_EXAMPLES}").fetchall() if failing else []  # noqa: S608
        yield Audit(model, check, failing, tuple(str(row)[:300] for row in rows))


def columns(con: duckdb.DuckDBPyConnection, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the columns and types of tables.

    Args:
        con: Open on a build that has them.
        names: Models as `stage.table`, inputs by their bare name.
    """
    described = ((name, con.execute(f"describe {name}").fetchall()) for name in names)
    return {name: {column: kind for column, kind, *_ in rows} for name, rows in described}
