"""All SQL of the project in the DuckDB of this process, with its answers as text: one process a release is compared.

python -m tests.duckdb_build build CONFIG FILE ANSWERS    build a file from the facts, and answer from it
python -m tests.duckdb_build read CONFIG FILE ANSWERS     answer from a file that another release wrote
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration import settings as toml
from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import build, macros, models, queries
from orchestration.warehouse.previous import Previous
from orchestration.warehouse.sql_folder import SQL
from orchestration.warehouse.version import HISTORY

_ARGUMENTS = {
    "copies_of": "select sample_id from catalog.samples order by sample_id",
    "generations_of": "select distinct sample_id from provenance.sources order by all",
    "rows_of_host": "select distinct url_host from catalog.samples where url_host is not null order by all",
    "sources_of": "select generation_id from catalog.generations order by all",
}
"""A query for the arguments of each macro."""
_MOST = 20


def main(what: str, config: Path, file: Path, answers: Path) -> None:
    """Write the answers of this process's DuckDB as JSON: columns and sorted rows of each table, macro and query.

    Args:
        what: `build` or `read`.
        config: The settings of a warehouse with facts.
        file: The file to build or to read.
        answers: The file to write.
    """
    settings = toml.load(config)
    if what == "build":
        with build.open_build(file, settings) as con:
            con.execute("set threads = 1")  # sums of floats depend on their order
            failing = _built(con, settings)
            assert failing == [], failing
    with duckdb.connect(str(file), read_only=True) as con:
        con.execute("set timezone = 'UTC'; set threads = 1")
        found = {"release": [duckdb.__version__], **dict(_answers(con))}
    answers.write_text(json.dumps(found, indent=0), encoding="utf-8")


def _built(con: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    """Build every model and every macro. Returns the sentences of the audits that fail."""
    facts, every = Facts(settings.home / "facts"), models.load(SQL)
    versions = facts.versions()
    row = {"version": 1, "published_at": datetime(2026, 1, 1, tzinfo=UTC), "lance_versions": sorted(versions.items())}
    row |= {"encoders": ["one"], "settings_hash": "", "recipe": "", "run_id": ""}
    inputs = build.Inputs(
        facts, versions, settings, pa.Table.from_pylist([row], HISTORY), HISTORY.empty_table(), Previous()
    )
    build.provide(con, sorted({name for model in every for name in model.inputs}), inputs)
    for model in every:
        build.materialize(con, model)
    macros.create(con, macros.load(SQL))
    return [audit.sentence for model in every for audit in build.audit(con, model) if audit.failing]


def _answers(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, list[str]]]:
    for model in models.load(SQL):
        yield model.name, _rows(con, f"from {model.name}")
    for macro in macros.load(SQL):
        for (value,) in con.execute(_ARGUMENTS[macro.name]).fetchall()[:_MOST]:
            yield f"{macro.name}({value})", _rows(con, f"from {macro.name}($1)", [value])
    for folder in sorted(path.name for path in (SQL / queries.FOLDER).iterdir()):
        for name in queries.query_names(folder):
            yield name, _asked(con, queries.query(name))


def _asked(con: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """Return what a query of Python answers to empty parameters, or why it cannot be asked so here."""
    [statement] = con.extract_statements(query)
    try:
        return _rows(con, query, dict.fromkeys(statement.named_parameters))
    except duckdb.Error as error:
        return [type(error).__name__]


def _rows(con: duckdb.DuckDBPyConnection, query: str, values: object = None) -> list[str]:
    """Return a line for the columns, then the rows in order, floats to nine digits."""
    answer = con.execute(query, values)
    columns = ", ".join(f"{_name(column[0])} {column[1]}" for column in answer.description or ()).replace('"', "")
    return [columns, *sorted(repr(tuple(map(_plain, row))) for row in answer.fetchall())]


def _name(column: str) -> str:
    """Return a column's name, but not that of an expression that has none: each release prints it in another way."""
    return "unnamed" if "(" in column else column


def _plain(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    return value


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
