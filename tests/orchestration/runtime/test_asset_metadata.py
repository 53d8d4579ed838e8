"""What the Dagster UI shows of tables: nothing in them is markup, and a chart is short enough to be shown at once."""

import duckdb
import pytest
from conftest import ROOT, Landing
from dagster import TableSchema

from orchestration.definitions import defs
from orchestration.facts import SCHEMAS
from orchestration.facts.schemas import catalog, duplicates, fingerprints, guard, matches, provenance
from orchestration.facts.schemas.meanings import meaning
from orchestration.runtime import asset_metadata
from orchestration.warehouse import sql_folder
from orchestration.warehouse.models import load
from orchestration.warehouse.queries import query, query_names


@pytest.mark.parametrize("label", ["```\n# broken out", "<img src=x onerror=alert(1)>", "x" * 500, "\x1b[31m"])
def test_a_label_cannot_leave_its_chart(label: str) -> None:
    first, line, last = asset_metadata.bars([(label, 3, 2, 4)]).splitlines()
    assert (first, last) == ("```", "```")
    assert "`" not in line and line.isprintable()
    assert line.endswith("█ 3 (2 to 4)")


def test_a_preview_holds_no_markup_and_nothing_that_reorders_it() -> None:
    *_, row = asset_metadata.table(
        ["caption"], [["a|b</td>\n# x \u202egpj [x](javascript:1) ![x](//evil)"]]
    ).splitlines()
    assert row.count("|") == 2 and not set(row) & set("<>[]()!`") and "⟨U+202E⟩gpj" in row


def test_bars_are_in_proportion_and_say_what_is_left_out() -> None:
    lines = asset_metadata.bars([(f"label {n}", 400 - n) for n in range(200)]).splitlines()
    assert [line.count("█") for line in lines[1:3]] == [30, 30]
    shown = len(lines) - 3
    assert lines[-2] == f"… and {200 - shown} more"
    assert len("\n".join(lines)) < 1000
    assert asset_metadata.bars([("none", 0), ("half", 0.5)]).splitlines()[1] == "none   0"
    assert asset_metadata.bars([]) == "_no rows_"


def test_every_chart_can_be_drawn_and_shown_at_once(sample: Landing) -> None:
    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as con:
        plots = query_names("plots")
        assert {name.removeprefix("plots/") for name in plots} <= {model.name for model in load(sql_folder.SQL)}
        for name in plots:
            drawn = asset_metadata.bars(con.execute(query(name)).fetchall())
            assert "█" in drawn and len(drawn) < 1000, name
        assert len(plots) == 17


def test_every_asset_has_an_owner_a_kind_a_layer_and_the_facts_their_columns() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners and node.kinds and node.description, key
        assert node.tags["raisonne/layer"] in {"landing", "facts", "derived", "exports"}
        if node.tags["raisonne/layer"] == "facts":
            assert node.metadata["dagster/column_schema"].columns, key


def test_every_column_of_every_fact_and_table_is_described() -> None:
    graph = defs.resolve_asset_graph()
    facts = [graph.get(key) for key in graph.get_all_asset_keys() if len(key.path) == 1]
    columns = [
        column for fact in facts for column in fact.metadata.get("dagster/column_schema", TableSchema([])).columns
    ]
    assert len(columns) > 150 and [column.name for column in columns if not column.description] == []
    unwritten = [(table, field.name) for table in SCHEMAS for field in SCHEMAS[table] if not meaning(table, field.name)]
    assert unwritten == []
    for stage in (catalog, fingerprints, duplicates, matches, provenance, guard):
        own = {definition.name: {*definition.key, *definition.columns} for definition in stage.TABLES}
        gone = [
            (name, each) for name, known in stage.MEANINGS.items() for each in known if each not in own.get(name, ())
        ]
        assert gone == [], f"{stage.__name__} describes what is not there"

    rows = [
        line
        for line in (ROOT / "docs" / "reference" / "tables.md").read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) > 400 and [row for row in rows if row.endswith("|  |")] == []


def test_a_check_says_whether_it_keeps_a_version_from_being_published() -> None:
    graph = defs.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    for spec in specs:
        said = "not published" if spec.blocking else "warns"
        assert said in (spec.description or "") and spec.blocking != spec.name.startswith("warn_"), spec
    assert {spec.blocking for spec in specs} == {True, False}
