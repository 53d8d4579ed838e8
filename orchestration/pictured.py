"""What the Dagster UI shows of a table: columns, a preview, a plot, where each column comes from.

What belongs here: Markdown and Dagster metadata. What does not: the tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb

from orchestration.sql_lineage import lineage
from orchestration.sql_models import Model

_WIDTH = 40  # characters of the longest bar
_PREVIEW = 5
_CELL = 60

# A picture of the tables that are worth one: label, value.
PLOTS = {
    "catalog.shards": "select dataset || '/' || shard, rows from catalog.shards order by 1 limit 30",
    "fingerprints.images": "select status, count(*) from fingerprints.images group by 1 order by 1",
    "fingerprints.coverage": "select dataset || ' ' || fingerprint, ok from fingerprints.coverage order by 1",
    "duplicates.pairs": "select method, count(*) from duplicates.pairs group by 1 order by 1",
    "duplicates.counts": "select 'cluster ' || cluster_id, duplicate_count from duplicates.counts limit 20",
    "matches.candidates": "select method, count(*) from matches.candidates group by 1 order by 1",
    "provenance.generations": "select verdict, count(*) from provenance.generations group by 1 order by 1",
    "provenance.duplication_effect": "select 'shown ' || band || ' times', share from provenance.duplication_effect",
    "reports.duplicate_frequency": "select 'shown ' || band || ' times', clusters from reports.duplicate_frequency",
}


def bars(rows: Sequence[tuple[str, float]]) -> str:
    """Return a bar chart in Markdown: one line a (label, value), the longest bar for the greatest value."""
    if not rows:
        return "_no rows_"
    most = max(value for _, value in rows) or 1
    wide = max(len(label) for label, _ in rows)
    lines = [f"{label:<{wide}}  {'█' * round(_WIDTH * value / most)} {value:,.4g}" for label, value in rows]
    return "```\n" + "\n".join(lines) + "\n```"


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown. Cells are text from the open web: nothing in them is markup afterwards."""
    lines = [names, ["---"] * len(names), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else " ".join(str(value).split())
    text = text if len(text) <= _CELL else text[: _CELL - 1] + "…"
    return escaped(text)


def escaped(text: str) -> str:
    """Return text from the open web as Markdown in which nothing of it is markup."""
    return "".join(f"&#{ord(c)};" if c in "|<>&`*_[]()!\\~#" else c for c in text)


def metadata(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    rows: int,
    columns: Mapping[str, Mapping[str, str]],
    owner: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the UI shows of a built model.

    columns: as `build.columns` gives them. owner: the asset, by name, that writes each Lance table.
    """
    shown = con.execute(f'select * from "{model.stage}"."{model.table}" limit {_PREVIEW}')  # noqa: S608
    names = [column[0] for column in shown.description or ()]
    found: dict[str, Any] = {
        "dagster/row_count": rows,
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(c, kind, model.columns.get(c)) for c, kind in columns[model.name].items()]
        ),
        "dagster/column_lineage": _lineage(model, columns, owner),
        "preview": dg.MetadataValue.md(table(names, shown.fetchall())),
    }
    if model.name in PLOTS:
        found["plot"] = dg.MetadataValue.md(bars(con.execute(PLOTS[model.name]).fetchall()))
    return found


def _lineage(model: Model, columns: Mapping[str, Mapping[str, str]], owner: Mapping[str, str]) -> dg.TableColumnLineage:
    deps = {}
    for column, origins in lineage(model, columns).items():
        keys = dict.fromkeys(
            (asset_key(name, owner), origin) for name, origin in origins
        )  # an asset may write two tables
        deps[column] = [dg.TableColumnDep(key, origin) for key, origin in keys if key]
    return dg.TableColumnLineage({column: found for column, found in deps.items() if found})


def asset_key(name: str, owner: Mapping[str, str]) -> dg.AssetKey | None:
    """Return the asset behind a table that models read; None for settings and the like."""
    if "." in name:
        return dg.AssetKey(name.split("."))
    if name == "landing_metadata":
        return dg.AssetKey("landing_shards")
    table_name = name.removeprefix("lance_")
    return dg.AssetKey(owner.get(table_name, table_name)) if name.startswith("lance_") else None
