"""The origins of the columns of a SQL model, for the Dagster UI.

What belongs here: column lineage with sqlglot. What does not: reading models (`warehouse/models.py`).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage as trace
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope
from sqlglot.schema import MappingSchema

from orchestration.warehouse.models import Model

type _Origins = tuple[tuple[str, str], ...]


def lineage(model: Model, schemas: Mapping[str, Mapping[str, str]]) -> dict[str, _Origins]:
    """Return the columns that each output column is computed from, as (table, column) pairs.

    Lineage is never guessed: an output column is left out if one of its origins cannot be found, or if it has no origin
    (a constant, a count of rows).

    Args:
        model: The model.
        schemas: Table → column → DuckDB type of what the model reads, as `build.columns` returns them.
    """
    read = {name: schemas.get(name) for name in (*model.depends_on, *model.inputs)}
    # sqlglot looks at all it is given, again for each table it meets, and takes one without columns for a missing name
    return dict(
        _traced(model.select, tuple((name, tuple(columns.items())) for name, columns in read.items() if columns))
    )


@lru_cache(256)  # a process that runs again traces nothing again
def _traced(select: str, read: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> dict[str, _Origins]:
    known: dict[str, dict[str, dict[str, str]]] = {}
    for name, columns in read:
        stage, _, table = name.rpartition(".")
        known.setdefault(stage or "main", {})[table] = dict(columns)
    try:
        query = sqlglot.parse_one(select, dialect="duckdb")
        options = {"validate_qualify_columns": False, "quote_identifiers": False}
        schema = MappingSchema(known, dialect="duckdb")
        query = _by_position(qualify(query, dialect="duckdb", schema=schema, db="main", **options))
        scope = build_scope(query)
    except SqlglotError:
        return {}
    untouched: dict[str, Any] = {"dialect": "duckdb", "copy": False, "trim_selects": False}  # copies are all its time
    found: dict[str, _Origins] = {}
    for column in query.named_selects:
        if column == "*" or re.fullmatch(r"_col_\d+", column):  # a star left standing, a name sqlglot made up
            continue
        try:
            nodes = list(trace(column, query, schema=schema, scope=scope, **untouched).walk())
        except (SqlglotError, ValueError):  # ValueError: one side of a set operation has no such column
            continue
        origins = {_origin(node.name, node.expression, known) for node in nodes if not node.downstream}
        origins |= {None for node in nodes if node.expression.find(exp.Columns, exp.TableColumn)}
        if None not in origins and (sources := {source for origin in origins if origin for source in origin}):
            found[column] = tuple(sorted(sources))
    return found


def _by_position(query: exp.Query) -> exp.Query:
    """Rewrite UNION BY NAME, whose sides sqlglot would otherwise trace by position."""
    for union in reversed(list(query.find_all(exp.SetOperation))):  # inner ones first
        names = list(dict.fromkeys([*union.left.named_selects, *union.right.named_selects]))
        if "*" in names:
            raise SqlglotError("a star that the schemas do not resolve hides the positions of a set operation")
        if not union.args.get("by_name"):
            continue
        for side in (union.left, union.right):
            own = side.named_selects
            columns = [exp.column(name, "side") if name in own else exp.null().as_(name) for name in names]
            side.replace(exp.select(*columns).from_(side.copy().subquery("side")))
        union.set("by_name", False)
    return query


def _origin(
    name: str, source: exp.Expression, known: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> tuple[tuple[str, str], ...] | None:
    """Return the column at the end of a trace: () for a constant, None if unknown."""
    if isinstance(source, exp.Placeholder | exp.Star):
        return None
    if not isinstance(source, exp.Table):
        return ()
    column = exp.to_column(name).name
    columns = known.get(source.db, {}).get(source.name, {})
    if column not in {each.lower() for each in columns}:
        return None
    return ((source.name if source.db == "main" else f"{source.db}.{source.name}", column),)
