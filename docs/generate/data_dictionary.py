"""Writes the data dictionary, `docs/reference/tables.md`, from the headers of the SQL models.

`make docs` writes it.

What belongs here: the page. What does not: the meanings, which the headers state (`sql/<stage>/<table>.sql`).

Column names and types are those of DuckDB: every model is built once over empty facts, which needs no data.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import build, functions, macros, sql_folder
from orchestration.warehouse.models import STAGES, Model, load
from orchestration.warehouse.version import HISTORY

PAGE = Path(__file__).parents[1] / "reference" / "tables.md"
_HEAD = """\
# Tables

Every table of a published `raisonne.duckdb`, in data order. Names and meanings are fixed; columns may be
added. The same texts are comments in the database: `select comment from duckdb_tables()`, `duckdb_columns()`.

Written by `docs/generate/data_dictionary.py` from the headers of `sql/<stage>/<table>.sql`; change those, and
`make docs` writes the page again.

Each promise is checked before a version is published; where one fails, nothing is."""

_MACROS = """\
## Macros

Common questions as functions of the database; they read the tables above. Written in `sql/macros/<name>.sql`, kept in
the file, so that every DuckDB that opens it has them: `select function_name, comment from duckdb_functions() where not
internal`. [SQL clients](../how-to/sql-clients.md) shows more, and `nearest`."""

_FUNCTIONS = """\
## Functions

What several tables are computed with; the file keeps them, because its views call them. Written in
`sql/functions/<name>.sql`."""


def render() -> str:
    """Return the page as Markdown."""
    models = sorted(load(sql_folder.SQL), key=lambda model: STAGES.index(model.stage))
    columns = _columns(models)
    lines = [_HEAD, "", "| table | one row per |", "| --- | --- |"]
    lines += [f"| [`{m.name}`](#{m.name.replace('.', '')}) | {_grain(m)} |" for m in models]
    for model in models:
        lines += ["", *_section(model, columns[model.name])]
    lines += ["", _MACROS]
    for macro in macros.load(sql_folder.SQL):
        lines += ["", *_macro(macro), "", f"Returns {', '.join(f'`{name}`' for name in columns[macro.name])}."]
    lines += ["", _FUNCTIONS]
    for function in sorted(functions.load(sql_folder.SQL), key=lambda function: function.name):
        lines += ["", *_macro(function)]
    return "\n".join(lines).rstrip() + "\n"


def _columns(models: list[Model]) -> dict[str, dict[str, str]]:
    with TemporaryDirectory() as folder:
        facts = Facts(Path(folder) / "facts")
        settings = Settings(home=Path(folder))
        nothing = HISTORY.empty_table()
        inputs = build.Inputs(facts, facts.versions(), settings, nothing, nothing)
        with build.open_build(Path(folder) / "empty.duckdb", settings) as con:
            build.provide(con, sorted({name for model in models for name in model.inputs}), inputs)
            for model in load(sql_folder.SQL):  # in the order in which they can be built
                build.materialize(con, model)
            asked = macros.load(sql_folder.SQL)
            macros.create(con, asked)
            described = {m.name: _described(con, f'"{m.stage}"."{m.table}"') for m in models}
            return described | {m.name: _described(con, f"from {m.name}({_nulls(m)})") for m in asked}


def _nulls(macro: macros.Macro) -> str:
    return ", ".join("null" for _ in macro.parameters)


def _described(con: duckdb.DuckDBPyConnection, what: str) -> dict[str, str]:
    rows = con.execute(f"describe {what}").fetchall()
    return {name: kind for name, kind, *_ in rows}


def _grain(model: Model) -> str:
    first = model.description.partition("\n")[0]
    return _cell(first.removeprefix("One row per ").partition(". ")[0].rstrip("."))


def _section(model: Model, columns: Mapping[str, str]) -> Iterator[str]:
    yield f"## {model.name}"
    yield ""
    yield model.description
    yield ""
    if model.view:
        yield "A view."
        yield ""
    if model.depends_on:
        yield f"Reads {', '.join(f'`{name}`' for name in model.depends_on)}."
        yield ""
    yield "| column | type | meaning |"
    yield "| --- | --- | --- |"
    for name, kind in columns.items():
        yield f"| `{name}` | `{_cell(kind)}` | {_cell(model.columns.get(name, ''))} |"
    yield ""
    yield from (f"- unique: {', '.join(f'`{name}`' for name in key)}" for key in model.unique)
    if model.not_null:
        yield f"- never NULL: {', '.join(f'`{name}`' for name in model.not_null)}"
    yield from (f"- always: `{condition}`" for condition in model.asserts)
    yield from (f"- warned of, unless: `{condition}`" for condition in model.warns)


def _macro(macro: macros.Macro) -> Iterator[str]:
    yield f"### {macro.call}"
    yield ""
    yield macro.description
    yield ""
    yield from (f"- `{name}`: {meaning}" for name, meaning in macro.parameters.items())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
