"""How optional parts are installed, and what is wrong with the installed packages, by their own metadata."""

from importlib import metadata

import pytest

from transforms import packages


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
