"""A warehouse lies in any folder, or is refused at the start with the fix."""

import os
from pathlib import Path

import pytest

from orchestration import settings
from orchestration.facts import Facts
from orchestration.facts.upkeep import ensure
from orchestration.runtime import instance

# tests/test_bad_input.py has a whole warehouse in such a folder
ODD = "日本 é 50% #1 'a' \"b\" [v2] {x} ;&~$HOME"


@pytest.mark.parametrize("name", [ODD, "a%20b", "*", "a\\b"])
def test_facts_lie_and_are_tagged_in_the_folder_itself(name: str, tmp_path: Path) -> None:
    facts = Facts(tmp_path / name / "facts")
    for table in facts:
        ensure(table.uri, table.schema)
    facts.tag(1, facts.versions())
    facts.keep_tags([])
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert os.listdir(tmp_path / name) == ["facts"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["what?", "two\nlines", "tab\t", b"latin-\xe9".decode(errors="surrogateescape")])
def test_a_folder_that_cannot_be_opened_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "raisonne.toml").write_text('home = "home"\n')
    with pytest.raises(settings.SettingsError, match=r"`home`: .* choose another folder"):
        settings.load(folder / "raisonne.toml")


@pytest.mark.parametrize("name", ["a%20b", "what?"])
def test_dagster_refuses_a_folder_that_it_would_read_as_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(instance.DagsterHomeError, match="Set DAGSTER_HOME"):
        instance.prepare(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "records"))
    assert instance.prepare(tmp_path / name) == tmp_path / "records"
