"""Tables, views and macros of a lake, as a versioned file defines them.

What belongs here: copying definitions, comments and rows from one database to another. What does not: which tables are
written (`lake/writing.py`).

DuckLake keeps comments of tables, views and the columns of tables, but of no macro and no column of a view.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

import duckdb

from orchestration.warehouse.queries import quoted


@dataclass(frozen=True)
class _Callable:
    parameters: tuple[str, ...]
    kind: str
    body: str

    @property
    def of_tables(self) -> bool:
        return self.kind == "table_macro"


def tables(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, str | None]:
    """Return the tables of a database, as `stage.table`, with their comments.

    Args:
        con: A connection that has it attached.
        database: What it is called.
    """
    return dict(
        con.execute(
            "select schema_name || '.' || table_name, comment from duckdb_tables() "
            "where database_name = ? and not internal order by 1",
            [database],
        ).fetchall()
    )


def holds_anything(con: duckdb.DuckDBPyConnection, database: str) -> bool:
    """Return whether a database has a table, a view or a macro.

    Args:
        con: A connection that has it attached.
        database: What it is called.
    """
    return bool(tables(con, database) or _views(con, database) or _callables(con, database))


def replace(con: duckdb.DuckDBPyConnection, lake: str, built: str, written: Sequence[str]) -> None:
    """Give a lake the definitions of a database, and the rows of some of its tables.

    Args:
        con: A connection in a transaction that has both attached, with the lake in use.
        lake: What the lake is called.
        built: What the other is called.
        written: The tables whose rows are written, as `stage.table`.
    """
    said, there = tables(con, built), tables(con, lake)
    views, views_there = _views(con, built), _views(con, lake)
    stages = _stages(con, built)  # other schemas of a lake are somebody's own
    for name in there.keys() - said.keys():
        if name.partition(".")[0] in stages:
            con.execute(f"drop table {lake}.{_name(name)}")
    for name in views_there.keys() - views.keys():
        if name.partition(".")[0] in stages:
            con.execute(f"drop view {lake}.{_name(name)}")
    for stage in stages:
        con.execute(f'create schema if not exists {lake}."{stage}"')
    functions, functions_there = _callables(con, built), _callables(con, lake)
    _replace_functions(con, lake, functions, functions_there)  # before the views, which call them
    columns = _column_comments(con, built)
    for name in written:
        table = f"{lake}.{_name(name)}"
        con.execute(f"create or replace table {table} as from {built}.{_name(name)}")
        _comment(con, "table", table, said[name])
        for column, comment in columns.get(name, {}).items():
            con.execute(f'comment on column {table}."{column}" is {quoted(comment)}')
    for name, (definition, about) in views.items():
        if views_there.get(name) != (definition, about):
            con.execute(f"create or replace view {lake}.{_name(name)} as {definition}")
            _comment(con, "view", f"{lake}.{_name(name)}", about)
    _replace_macros(con, lake, functions, functions_there)  # after the tables, which they read


def _stages(con: duckdb.DuckDBPyConnection, database: str) -> list[str]:
    found = (
        "select schema_name from duckdb_schemas() where database_name = ? and not internal and schema_name <> 'main'"
    )
    return [name for (name,) in con.execute(f"{found} order by 1", [database]).fetchall()]


def _replace_functions(
    con: duckdb.DuckDBPyConnection, lake: str, wanted: Mapping[str, _Callable], there: Mapping[str, _Callable]
) -> None:
    for name in [name for name, each in there.items() if name not in wanted or wanted[name].kind != each.kind]:
        con.execute(f'drop macro{" table" if there[name].of_tables else ""} {lake}.main."{name}"')
    functions = {name: each for name, each in wanted.items() if not each.of_tables}
    calls = {name: sorted(_called(each.body, functions) - {name}) for name, each in functions.items()}
    _create(con, lake, TopologicalSorter(calls).static_order(), wanted, there)


def _replace_macros(
    con: duckdb.DuckDBPyConnection, lake: str, wanted: Mapping[str, _Callable], there: Mapping[str, _Callable]
) -> None:
    _create(con, lake, [name for name, each in wanted.items() if each.of_tables], wanted, there)


def _create(
    con: duckdb.DuckDBPyConnection,
    lake: str,
    names: Iterable[str],
    wanted: Mapping[str, _Callable],
    there: Mapping[str, _Callable],
) -> None:
    for name in names:
        each = wanted[name]
        if there.get(name) != each:  # one that is the same is not stored again
            what = "table " if each.of_tables else ""
            con.execute(
                f'create or replace macro {lake}.main."{name}"({", ".join(each.parameters)}) as {what}{each.body}'
            )


def _called(body: str, functions: Mapping[str, _Callable]) -> set[str]:
    return set(re.findall(r"\b([a-z][a-z0-9_]*)\(", body)) & functions.keys()


def _callables(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, _Callable]:
    rows = con.execute(
        "select function_name, parameters, function_type, macro_definition from duckdb_functions() "
        "where database_name = ? and schema_name = 'main' and not internal and macro_definition is not null order by 1",
        [database],
    ).fetchall()
    return {name: _Callable(tuple(parameters), kind, body) for name, parameters, kind, body in rows}


def _views(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, tuple[str, str | None]]:
    """Return the SELECT and the comment of each view."""
    rows = con.execute(
        "select schema_name || '.' || view_name, sql, comment from duckdb_views() "
        "where database_name = ? and not internal order by 1",
        [database],
    ).fetchall()
    return {name: (sql.partition(" AS ")[2].rstrip("; \n"), comment) for name, sql, comment in rows}


def _column_comments(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, comment in con.execute(
        "select schema_name || '.' || table_name, column_name, comment from duckdb_columns() "
        "where database_name = ? and comment is not null and not internal",
        [database],
    ).fetchall():
        found.setdefault(table, {})[column] = comment
    return found


def _comment(con: duckdb.DuckDBPyConnection, what: str, name: str, comment: str | None) -> None:
    if comment:
        con.execute(f"comment on {what} {name} is {quoted(comment)}")


def _name(name: str) -> str:
    """Quote `stage.table`."""
    return ".".join(f'"{part}"' for part in name.split("."))
