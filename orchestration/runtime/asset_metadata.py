"""Metadata of a table for the Dagster UI: columns, a preview, a plot, and the lineage of each column.

What belongs here: Markdown and Dagster metadata. What does not: the tables (`sql/`, `facts/schemas/`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb

from orchestration.facts import SCHEMAS, FactTable
from orchestration.warehouse.lineage import lineage
from orchestration.warehouse.models import Model
from orchestration.warehouse.queries import query, query_names
from transforms.readable import legible

_AT_ONCE = 1000  # Dagster's UI hides longer Markdown behind a link
_WIDTH, _LABEL = 30, 36  # characters of the longest bar, of a label
_PREVIEW = 5
_CELL = 60
_UNSHOWN = ("vector", "pixels")  # columns of facts with a thousand numbers each


def bars(rows: Sequence[Sequence[Any]]) -> str:
    """Return a bar chart in Markdown. It is cut off where Dagster would hide the rest behind a click.

    Args:
        rows: Label, value and, if known, the two ends of the value's interval. Labels may be untrusted text.
    """
    if not rows:
        return "_no rows_"
    greatest = max(float(value) for _, value, *_ in rows) or 1
    labels = [_label(str(label)) for label, *_ in rows]
    width = max(map(len, labels))
    lines: list[str] = []
    room = _AT_ONCE - len("```\n\n```") - len(f"\n… and {len(rows)} more")
    for label, (_, value, *ends) in zip(labels, rows, strict=True):
        interval = " ({:,.3g} to {:,.3g})".format(*ends) if len(ends) == 2 and None not in ends else ""
        line = f"{label:<{width}}  {'█' * round(_WIDTH * float(value) / greatest)} {value:,.4g}{interval}"
        room -= len(line) + 1
        if room < 0:
            lines.append(f"… and {len(rows) - len(lines)} more")
            break
        lines.append(line)
    return "```\n" + "\n".join(lines) + "\n```"


def _label(text: str) -> str:
    plain = "".join(c if c.isprintable() and c != "`" else "·" for c in text)
    return plain if len(plain) <= _LABEL else plain[: _LABEL - 1] + "…"


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown.

    Args:
        names: The head.
        rows: Cells, which may be text from the open web; no markup in them has an effect.
    """
    lines = [names, ["---"] * len(names), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
    text = text if len(text) <= _CELL else text[: _CELL - 1] + "…"
    return escape(text)


def escape(text: str) -> str:
    """Escape text from the open web, so that it shows literally: without markup, hidden or reordered characters."""
    return "".join(f"&#{ord(c)};" if c in "|<>&`*_[]()!\\~#" else c for c in legible(text))


def metadata(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    rows: int,
    columns: Mapping[str, Mapping[str, str]],
    owner: Mapping[str, str],
) -> dict[str, Any]:
    """Return the metadata of a built model.

    Args:
        con: The database that holds it.
        model: The model.
        rows: How many rows it has.
        columns: The columns of all tables, as `build.columns` returns them.
        owner: The assets that write fact tables of another name, by table.
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
    plot = f"plots/{model.name}"
    if plot in query_names("plots"):
        found["plot"] = dg.MetadataValue.md(bars(con.execute(query(plot)).fetchall()))
    return found


def fact(facts: FactTable) -> dict[str, Any]:
    """Return the metadata of a fact table: its count of rows, and the first rows."""
    dataset = facts.dataset()
    names = [name for name in dataset.schema.names if name not in _UNSHOWN]
    shown = dataset.scanner(columns=names, limit=_PREVIEW).to_table().to_pylist()
    return {
        "dagster/row_count": dataset.count_rows(),
        "preview": dg.MetadataValue.md(table(names, [list(row.values()) for row in shown])),
    }


def describe(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Tag an asset with its layer of the warehouse, and a fact table with its columns."""
    name = spec.key.path[-1]
    layer = "derived" if len(spec.key.path) > 1 else "facts" if name in SCHEMAS else "exports"
    spec = spec.merge_attributes(tags={"raisonne/layer": layer})
    if layer != "facts":
        return spec
    columns = [dg.TableColumn(field.name, str(field.type)) for field in SCHEMAS[name]]
    return spec.merge_attributes(metadata={"dagster/column_schema": dg.TableSchema(columns)})


def _lineage(model: Model, columns: Mapping[str, Mapping[str, str]], owner: Mapping[str, str]) -> dg.TableColumnLineage:
    deps = {}
    for column, origins in lineage(model, columns).items():
        keys = dict.fromkeys((asset_key(name, owner), origin) for name, origin in origins)  # an asset may write two
        deps[column] = [dg.TableColumnDep(key, origin) for key, origin in keys if key]
    return dg.TableColumnLineage({column: origins for column, origins in deps.items() if origins})


def asset_key(name: str, owner: Mapping[str, str]) -> dg.AssetKey | None:
    """Return the asset behind a table that models read; None for settings and the like.

    Args:
        name: The table as models name it.
        owner: The assets that write fact tables of another name, by table.
    """
    if "." in name:
        return dg.AssetKey(name.split("."))
    if name == "landing_metadata":
        return dg.AssetKey("landing_shards")
    table_name = name.removeprefix("lance_")
    return dg.AssetKey(owner.get(table_name, table_name)) if name.startswith("lance_") else None
