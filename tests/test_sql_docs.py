"""docs/sql.md and the notebook are true: the published file opens as they say, in each of the programs they name."""

import os
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, Landing
from nbclient import NotebookClient
from test_readme import blocks, invocations

from orchestration.cli.sql import lance_extension

PAGE = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
COMMANDS = [arguments for arguments in invocations(PAGE) if len(arguments) > 1]  # the others wait for a terminal


@pytest.fixture
def as_shown(sample: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder in which the sample lies where the page has it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "warehouse").symlink_to(sample.home)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("query", blocks(PAGE, "sql"))
def test_a_query_answers(query: str, sample: Landing) -> None:
    assert sample.query(query)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_works(arguments: list[str], sample: Landing, as_shown: Path) -> None:
    arguments = [str(as_shown / each) if each.endswith(".parquet") else each for each in arguments]
    shown = sample.raisonne(*arguments).stdout
    assert shown.strip() or list(as_shown.glob("*.parquet"))


@pytest.mark.parametrize("snippet", blocks(PAGE, "python"), ids=lambda text: text.split()[1])
def test_a_snippet_runs(snippet: str, as_shown: Path) -> None:
    if "lance_vector" in snippet and lance_extension.extension() is None:
        pytest.skip("the lance extension of this DuckDB is not installed: pip install 'raisonne[lance]'")
    names: dict[str, object] = {}
    exec(compile(snippet, "docs/sql.md", "exec"), names)  # noqa: S102 -- our own page
    assert names.get("rows", True)


def test_the_notebook_runs_and_is_committed_without_results(as_shown: Path) -> None:
    notebook = nbformat.read(ROOT / "data" / "explore.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(as_shown / "data")}})
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel warns
    client.execute()
    assert all(cell.outputs for cell in code[1:])
    assert "100-199" in str(code[2].outputs)
