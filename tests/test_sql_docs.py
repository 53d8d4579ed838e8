"""The notebook runs on the published sample. The page beside it is in `tests/test_pages.py`."""

import os
from pathlib import Path

from conftest import ROOT, Landing


def test_the_notebook_runs_and_is_committed_without_results(sample: Landing, tmp_path: Path) -> None:
    import nbformat  # takes seconds, which every worker would spend
    from nbclient import NotebookClient

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "warehouse").symlink_to(sample.home)
    notebook = nbformat.read(ROOT / "data" / "explore.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path / "data")}})
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel warns
    client.execute()
    assert all(cell.outputs for cell in code[1:])
    assert "100-199" in str(code[2].outputs)
