"""How optional parts are installed, and what is wrong with the installed packages, by their own metadata."""

import re
from importlib import metadata

import pytest
from conftest import ROOT

from transforms import packages

_TEXTS = {".md", ".py", ".sql", ".toml", ".yaml"}


def test_a_part_is_installed_by_its_packages_wherever_raisonne_came_from() -> None:
    assert packages.installing("download").startswith("pip install '")
    assert "'img2dataset>=" in packages.installing("download")
    assert packages.installing("no such part") == "pip install '.[no such part]' in the folder of raisonne"


def test_this_installation_fits() -> None:
    assert packages.misfits() == []


def test_another_version_than_the_required_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["duckdb==9.9.9", "click>=8", "no-such-package>=1; python_version > '3'", "ray==1; extra == 'ray'"]
    monkeypatch.setattr(packages, "requires", lambda _: listed)
    assert packages.misfits() == [
        f"duckdb {metadata.version('duckdb')} is installed, 9.9.9 is needed",
        "no-such-package>=1 is not installed",
    ]


def test_no_page_or_message_installs_it_from_an_index() -> None:
    """It is on none: an extra is installed from the folder of the clone, `.` or a path."""
    folders = ("deploy", "docs", "orchestration", "raisonne", "sql", "tests", "transforms")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.*") if path.suffix in _TEXTS]
    from_index = re.compile(r"(?:pip install|with) [`'\"]*raisonne\[")
    assert len(files) > 500
    assert [str(path) for path in files if from_index.search(path.read_text("utf-8"))] == []
