"""The data dictionary: `docs/reference/tables.md` and the comments in the database say what the models' headers say."""

import importlib.util
from types import ModuleType

import duckdb
import pytest
from conftest import ROOT, Landing

from orchestration.warehouse.models import Model, load

MODELS = load(ROOT / "sql")


@pytest.fixture(scope="module")
def dictionary() -> ModuleType:
    """Return the script, which is in no package."""
    spec = importlib.util.spec_from_file_location("data_dictionary", ROOT / "docs" / "generate" / "data_dictionary.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sections(dictionary: ModuleType) -> dict[str, str]:
    """Return the committed page by table."""
    _, *parts = dictionary.PAGE.read_text(encoding="utf-8").split("\n## ")
    return dict(part.split("\n", 1) for part in parts)


def test_the_page_is_in_step_with_the_headers(dictionary: ModuleType) -> None:
    assert dictionary.PAGE.read_text(encoding="utf-8") == dictionary.render(), "run `make docs`"


def test_every_published_table_is_in_the_page_with_its_columns_and_types(
    sample: Landing, sections: dict[str, str]
) -> None:
    published: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in sample.query(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() "
        "where not internal order by schema_name, table_name, column_index"
    ):
        published.setdefault(table, []).append((column, kind))
    assert published.keys() == sections.keys() - {"Macros", "Functions"}
    for table, columns in published.items():
        rows = [line.split(" | ") for line in sections[table].splitlines() if line.startswith("| `")]
        shown = [(row[0].removeprefix("| ").strip("`"), row[1].strip("`")) for row in rows]
        assert shown == columns, table


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_says_what_one_row_is_and_what_makes_it_unique(model: Model) -> None:
    assert model.description.startswith("One row per ")
    assert model.unique or model.stage == "warehouse"


def test_every_table_and_described_column_carries_its_comment_in_the_database(sample: Landing) -> None:
    tables = {(name, text) for name, text in sample.query(f"{_ABOUT_TABLES} union all {_ABOUT_VIEWS}")}
    assert tables == {(model.name, model.description) for model in MODELS}
    columns = sample.query(
        "select schema_name || '.' || table_name, column_name, comment from duckdb_columns() "
        "where not internal and comment is not null"
    )
    assert set(columns) == {(model.name, name, text) for model in MODELS for name, text in model.columns.items()}


def test_every_macro_is_in_the_page_and_carries_its_comment_in_the_database(
    sample: Landing, sections: dict[str, str]
) -> None:
    kept = sample.query(
        "select function_name || '(' || array_to_string(parameters, ', ') || ')', comment from duckdb_functions() "
        "where not internal"
    )
    assert kept
    for call, comment in kept:
        assert f"### {call}\n\n{comment.partition('\n')[0]}" in sections["Macros"] + sections["Functions"]


def test_a_reader_sees_the_comments_without_our_code(sample: Landing) -> None:
    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as con:
        [(text,)] = con.execute("select comment from duckdb_tables() where table_name = 'sources'").fetchall()
    assert "A source is likely, never certain" in text


_ABOUT_TABLES = "select schema_name || '.' || table_name, comment from duckdb_tables() where not internal"
_ABOUT_VIEWS = "select schema_name || '.' || view_name, comment from duckdb_views() where not internal"
