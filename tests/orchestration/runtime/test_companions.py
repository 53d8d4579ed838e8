"""Companions: what they start with. That they end with whoever started them is in `test_ui.py`."""

import json
import threading
import time
from pathlib import Path

import pytest
from conftest import PATIENCE_S, ROOT

from orchestration.runtime import companions
from orchestration.runtime.companions import Companion

_TOLD = """
import json, os, pathlib, subprocess, sys, tempfile, colorsys
inner = [sys.executable, "-c", "import colorsys, tempfile; print(tempfile.gettempdir(), colorsys.__file__)"]
told = subprocess.run(inner, capture_output=True, text=True, check=True).stdout.split()
told += [tempfile.gettempdir(), colorsys.__file__]
part = pathlib.Path(sys.argv[1] + ".part")
part.write_text(json.dumps(told))
part.rename(sys.argv[1])
"""


def test_files_in_the_working_directory_are_no_modules_and_temporary_files_stay_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the companion and of what it starts: Dagster's code server starts a Python of its own."""
    modules, here, private = tmp_path / "modules", tmp_path / "here", tmp_path / "private"
    for folder in (modules, here, private):
        folder.mkdir()
    (modules / "telling.py").write_text(_TOLD)
    for name in ("colorsys", "runpy", "signal", "telling"):
        (here / f"{name}.py").write_text(f"raise SystemExit({name!r})")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{modules}")
    told = tmp_path / "told.json"
    started = Companion("the test", "telling", [str(told)], private)
    try:
        pause, end = threading.Event(), time.monotonic() + PATIENCE_S
        while not told.exists() and time.monotonic() < end:
            started.require_running()
            pause.wait(0.05)
    except companions.CompanionEnded:
        assert told.exists(), "it ended before it could tell"
    finally:
        companions.end([started])
    inner_temporary, inner_module, temporary, module = json.loads(told.read_text())
    assert (inner_temporary, temporary) == (str(private), str(private))
    assert inner_module == module and not module.startswith(str(here))
