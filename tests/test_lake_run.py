"""A run that publishes to a lake: when it cannot, when it catches up, and what readers then find there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Landing, Row, encoded, picture

import raisonne
from orchestration.settings import load
from orchestration.warehouse import lake, publishing


def test_a_run_publishes_to_the_lake_or_the_next_one_does(
    landing: Landing, rows_of: Callable[[int, int], list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.write_config(
        '[publishing]\ncoverage_drop = 1\ntarget = "ducklake:sqlite:lake/catalog.sqlite"\ndata_path = "lake/data"\n'
    )
    landing.shard("00000", [*rows_of(0, 4), Row("https://mirror.example.org/0", "picture 0", encoded(picture(0)))])
    (landing.folder / "generations" / "0.jpg").write_bytes(encoded(picture(0).resize((220, 165))))
    in_the_way = landing.folder / "lake" / "data" / "mine.parquet"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"mine")

    failed = landing.raisonne("run", check=False)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert f"version 1 stands as a file, but is not in the lake: {in_the_way} lies where" in failed.stderr
    assert [each.number for each in publishing.versions(landing.home)] == [1]

    in_the_way.unlink()
    landing.run_here()
    address = load(landing.config).publishing.lake
    assert address is not None and lake.numbers(address) == [1]
    assert [each.number for each in publishing.versions(landing.home)] == [1]

    file = landing.folder / "file.toml"
    file.write_text(landing.config.read_text().partition("[publishing]")[0])
    assert landing.raisonne("show", "0.jpg").stdout == _by(landing, file).raisonne("show", "0.jpg").stdout != ""
    manifests = []
    for each, name in ((landing, "lake-guard"), (_by(landing, file), "file-guard")):
        to = landing.folder / name
        each.raisonne("export", "guard", "--to", str(to))
        manifests.append(json.loads((to / "manifest.json").read_text()))
    assert manifests[0]["files"] == manifests[1]["files"] and manifests[0]["counts"] == manifests[1]["counts"]
    monkeypatch.setenv("RAISONNE_CONFIG", str(landing.config))
    with raisonne.open(str(address)) as opened:
        assert opened.nearest(encoded(picture(3)), 1).fetchall()[0][1] > 0.9
        assert "<iframe" in opened.show("0.jpg")._repr_html_()


def _by(landing: Landing, config: Path) -> Landing:
    """Return the same landing, with the settings of another file."""

    class ByOther(Landing):
        @property
        def config(self) -> Path:
            return config

    return ByOther(landing.folder)
