"""What the Dagster UI shows of a table: columns, a preview, a plot, the lineage of each column, and its data version.

What belongs here: Markdown, Dagster metadata, and the versions by which Dagster tells whether an asset is in step with
those it was made from. What does not: the tables (`sql/`, `facts/schemas/`), recipes, by which runs decide what is due
(`facts/recipes.py`).

The version of a fact is that of its Lance tables. A run that finds nothing to do commits nothing, so it stays, and so
does what Dagster says of all that was made from it. Versions of published tables Dagster derives from their SELECT and
their inputs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb
from dagster._core.definitions import data_version as versions

from orchestration.facts import ALSO_WRITTEN_BY, SCHEMAS, WRITTEN_BY, Facts, FactTable
from orchestration.facts.schemas.meanings import meaning
from orchestration.warehouse.lineage import lineage
from orchestration.warehouse.models import Check, Model
from orchestration.warehouse.queries import query, query_names
from transforms.readable import in_markdown

_AT_ONCE = 1000  # Dagster's UI hides longer Markdown behind a link
_WIDTH, _LABEL = 30, 36  # characters of the longest bar, of a label
_PREVIEW = 5
_CELL = 60
OF_EACH_PARTITION = dg.DataVersion("of each partition")
"""The version of what only orders steps: each partition has a version of its own."""
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
    return in_markdown(text)


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


def fact_result(facts: Facts, asset: str, told: Mapping[str, Any] | None = None) -> dg.MaterializeResult:
    """Return the result of an asset that writes facts: its count of rows, the first rows, and its version.

    Args:
        facts: The fact tables.
        asset: The asset, which is also the name of its main table.
        told: More to show.
    """
    rows = {"dagster/row_count": facts[asset].dataset().count_rows(), "preview": preview(facts[asset])}
    return dg.MaterializeResult(asset, {**rows, **(told or {})}, data_version=fact_version(facts, asset))


def preview(facts: FactTable, where: str | None = None) -> dg.MetadataValue:
    """Return the first rows of a fact table.

    Args:
        facts: The table.
        where: A Lance filter.
    """
    dataset = facts.dataset()
    names = [name for name in dataset.schema.names if name not in _UNSHOWN]
    shown = dataset.scanner(columns=names, limit=_PREVIEW, filter=where).to_table().to_pylist()
    return dg.MetadataValue.md(table(names, [list(row.values()) for row in shown]))


def describe(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Tag an asset with its layer of the warehouse, and a fact table with its columns."""
    name = spec.key.path[-1]
    kept = "facts" if name in SCHEMAS else "exports" if spec.group_name == "reports" else "landing"
    layer = "derived" if len(spec.key.path) > 1 else kept
    spec = spec.merge_attributes(tags={"raisonne/layer": layer})
    if layer != "facts":
        return spec
    columns = [dg.TableColumn(field.name, str(field.type), meaning(name, field.name)) for field in SCHEMAS[name]]
    return spec.merge_attributes(metadata={"dagster/column_schema": dg.TableSchema(columns)})


def check(model: Model, promise: Check) -> str:
    """Return what Dagster says of a check, and of what follows where it fails.

    Args:
        model: The model.
        promise: One of its checks.
    """
    follows = "the version is not published, and the last one stands" if promise.blocks else "the run warns of it"
    return f"Every row of {model.name}: {promise.sentence}. Otherwise {follows}."


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


def fact_version(facts: Facts, asset: str) -> dg.DataVersion:
    """Return the version of a fact: the Lance versions of the tables that no other asset writes.

    Args:
        facts: The fact tables.
        asset: The name of the asset that writes them.
    """
    written = (name for name in SCHEMAS if WRITTEN_BY.get(name, name) == asset and not ALSO_WRITTEN_BY[name])
    return dg.DataVersion(", ".join(f"{name} {facts[name].version}" for name in written))


def recipes_version(recipes: Iterable[str]) -> dg.DataVersion:
    """Return the version of a partition: the recipes that its rows were made by."""
    return dg.DataVersion(", ".join(sorted(recipes)))


def partition_tags(version: dg.DataVersion, upstream: str) -> Mapping[str, str]:
    """Return the tags by which an event that an asset logs itself states what Dagster states of an output.

    Args:
        version: The version of the partition.
        upstream: The asset of the version `OF_EACH_PARTITION` that it was made from.
    """
    key = dg.AssetKey(upstream)
    return {
        versions.DATA_VERSION_TAG: version.value,
        versions.DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        versions.CODE_VERSION_TAG: "",
        versions.get_input_data_version_tag(key): OF_EACH_PARTITION.value,
        versions.get_input_event_pointer_tag(key): versions.NULL_EVENT_POINTER,
    }
