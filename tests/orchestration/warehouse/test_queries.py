"""Named queries: each file says what it returns, and what is wrong with one is said with its path."""

from pathlib import Path

import pytest

from orchestration.warehouse import sql_folder
from orchestration.warehouse.queries import query, query_names

FILES = sorted((sql_folder.SQL / "queries").rglob("*.sql"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_file_says_what_it_returns_and_holds_a_statement(file: Path) -> None:
    name = file.relative_to(sql_folder.SQL / "queries").with_suffix("").as_posix()
    assert file.read_text(encoding="utf-8").startswith("-- ")
    assert query(name) and not query(name).startswith("--")
    assert name in query_names(file.parent.relative_to(sql_folder.SQL / "queries").as_posix())


@pytest.mark.parametrize("text", ["select 1", "-- One row.\n", ""])
def test_a_file_that_says_too_little_is_refused_by_its_path(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_folder, "SQL", tmp_path)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "vague.sql").write_text(text)
    with pytest.raises(LookupError, match=r"queries/vague\.sql: begin with"):
        query("vague")


def test_a_query_that_is_missing_is_named_by_its_path() -> None:
    with pytest.raises(LookupError, match=r"no query at .*queries/pages/nothing\.sql"):
        query("pages/nothing")


def test_the_header_and_the_semicolon_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_folder, "SQL", tmp_path)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "one.sql").write_text("-- One row: a number.\n-- more: its column\nselect 1 as a;\n")
    assert query("one") == "select 1 as a"
