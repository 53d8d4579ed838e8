"""The public Python API, as users call it: what it names, what its questions answer, and what importing it costs."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bundles
import numpy as np
import pytest
from bundles import Blurred
from conftest import ROOT, Landing, Row, encoded, picture, without_exports

import raisonne
from orchestration import settings
from orchestration.cli import execution
from raisonne import Warehouse, guards
from tests import processes, records
from transforms import encoders
from transforms.encoders import EncoderMismatch

_SLOW = ("torch", "dagster", "duckdb", "lance", "pyarrow", "numpy", "PIL")


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, rows_of: Callable[[int, int], list[Row]]
) -> tuple[Landing, raisonne.RunResult]:
    """Run a small warehouse by Python, and return what it says of that."""
    landing = Landing(tmp_path_factory.mktemp("api"))
    landing.write_config()
    rows = rows_of(0, 4)
    landing.shard("00000", [*rows, Row("https://again.example.org/0.jpg", "again", rows[0].data)])
    (landing.folder / "generations" / "copy.jpg").write_bytes(rows[0].data or b"")
    picture(70).save(landing.folder / "generations" / "other.png")
    landing.keep_records_open()
    outside = patch.dict(os.environ, processes.environment(), clear=True)
    with outside, records.outline(), without_exports():
        done = raisonne.run(landing.config)
        assert "DAGSTER_HOME" not in os.environ, "the next run may be of another warehouse"
    return landing, done


@pytest.fixture(scope="module")
def landed(ran: tuple[Landing, raisonne.RunResult]) -> Landing:
    return ran[0]


@pytest.fixture(scope="module")
def warehouse(landed: Landing) -> Iterator[Warehouse]:
    with raisonne.open(landed.config) as opened:
        yield opened


def test_importing_it_imports_nothing_slow() -> None:
    code = f"import sys, raisonne; print([each for each in {_SLOW!r} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there_and_nothing_else_is() -> None:
    assert set(dir(raisonne)) == set(raisonne.__all__)
    assert all(getattr(raisonne, name).__doc__ for name in raisonne.__all__ if name != "Image")
    with pytest.raises(AttributeError, match="no attribute 'warehouse_of'"):
        _ = raisonne.warehouse_of


def test_the_page_of_the_api_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")
    named = re.findall(r"^::: ([\w.]+)\.(\w+)$", page, re.M)
    functions = re.findall(r"^        - (\w+)$", page, re.M)
    assert sorted([name for _, name in named] + functions) == sorted(raisonne.__all__)
    assert all(getattr(import_module(home), name) is getattr(raisonne, name) for home, name in named)


def test_a_query_is_a_relation_with_bound_parameters(warehouse: Warehouse) -> None:
    found = warehouse.sql(
        "select caption from catalog.samples where url = $url", {"url": "https://again.example.org/0.jpg"}
    )
    assert found.fetchall() == [("again",)]
    assert warehouse.sql("from reports.duplicate_frequency").pl()["rows"].sum() == 5
    assert warehouse.version == 1 and [row[0] for row in warehouse.versions().fetchall()] == [1]


def test_sources_and_copies_are_named(warehouse: Warehouse) -> None:
    [best, *_] = warehouse.sources("copy.jpg").to_arrow_table().to_pylist()
    assert (best["verdict"], best["duplicate_count"]) == ("exact", 2)
    assert len(warehouse.copies(best["sample_id"])) == 2


def test_a_case_shows_itself_as_text_and_as_a_page(warehouse: Warehouse, tmp_path: Path) -> None:
    case = warehouse.show("copy.jpg")
    assert case.verdict == "exact" and repr(case).startswith("gen/copy.jpg: exact\nsearched: 5 of 5 training rows")
    shown = case._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts" ') and "data:image/" in shown
    assert shown.count("<") == 2, "all of the page is the value of one attribute"
    assert case.save(tmp_path / "case.html").read_text() == case.page()
    with pytest.raises(LookupError, match=r"unknown generation 'coppy.jpg'; the nearest names are: gen/copy.jpg"):
        warehouse.show("coppy.jpg")


def test_nearest_takes_a_picture_or_its_vector(
    warehouse: Warehouse, landed: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = [], encoders.load
    monkeypatch.setattr(encoders, "load", lambda name, device: loaded.append(name) or load(name, device))
    pixels = np.asarray(picture(2))
    [first, second] = warehouse.nearest(pixels, 2).to_arrow_table().to_pylist()
    assert first["caption"] == "picture 2" and first["cosine"] > 0.8 > second["cosine"]
    assert (first["url"], first["duplicate_count"]) == ("https://images.example.org/2.jpg", None)
    file = landed.folder / "generations" / "copy.jpg"
    by_path, by_bytes = warehouse.nearest(file, 2).fetchall(), warehouse.nearest(file.read_bytes(), 2).fetchall()
    assert by_path == by_bytes and {row[4] for row in by_path} == {"picture 0", "again"}
    vector = _stored(warehouse, first["sample_id"])
    assert warehouse.nearest(vector, 1).fetchall()[0][:2] == (first["sample_id"], pytest.approx(1, abs=1e-5))
    assert len(loaded) < 2, "the encoder is loaded for the first picture alone"


def test_nearest_refuses_what_it_cannot_search_with(warehouse: Warehouse, landed: Landing) -> None:
    with pytest.raises(ValueError, match="not a picture"):
        warehouse.nearest(b"hello, this is text, and long enough to be looked at")
    with pytest.raises(ValueError, match=r"uint8 of shape \(height, width, 3\)"):
        warehouse.nearest(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="has 3 numbers"):
        warehouse.nearest([1.0, 0.0, 0.0])
    by_folder = raisonne.open(landed.home)
    with by_folder, pytest.raises(EncoderMismatch, match=r"open it by its raisonne.toml"):
        by_folder.nearest(np.asarray(picture(2)))


def test_the_guard_checks_against_the_newest_bundle(warehouse: Warehouse, landed: Landing) -> None:
    with pytest.raises(LookupError, match="raisonne export guard"):
        warehouse.guard()
    landed.raisonne("export", "guard")
    verdict = warehouse.guard().check(encoded(picture(0)))
    assert (verdict.decision, verdict.verdict) == ("block", "exact")
    [bundle] = (landed.home / "guard").iterdir()
    assert raisonne.check(np.asarray(picture(0)), bundle).decision == "block"
    assert raisonne.check(b"", bundle).decision == "unavailable"
    assert warehouse.guard() is warehouse.guard()


def test_python_trusts_whom_the_settings_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command does: the bundle given or the warehouse's own, also after a key has changed."""
    private, public, config = tmp_path / "guard.key", tmp_path / "guard.pub", tmp_path / "raisonne.toml"
    data, home = encoded(picture(1)), tmp_path / "home"

    def make_keys() -> None:
        for line in (f"genpkey -algorithm ed25519 -out {private}", f"pkey -in {private} -pubout -out {public}"):
            subprocess.run(["openssl", *line.split()], check=True)

    make_keys()
    unsigned = bundles.write(tmp_path / "unsigned", [data])
    own = bundles.write(home / "guard" / "version-000001", [data], key=private)
    config.write_text('home = "home"\n')
    monkeypatch.setenv("RAISONNE_CONFIG", str(config))
    assert raisonne.check(data, unsigned).decision == "block"
    config.write_text('home = "home"\n[guard]\ntrusted_keys = ["guard.pub"]\n')
    with pytest.raises(ValueError, match=r"must be signed by a key of .*guard\.pub"):
        raisonne.check(data, unsigned)
    assert [raisonne.check(data).decision, raisonne.check(data, own).decision] == ["block", "block"]
    make_keys()
    for ask in (lambda: raisonne.check(data), lambda: guards.of_warehouse(settings.load())):
        with pytest.raises(ValueError, match="signature"):
            ask()
    config.unlink()
    with pytest.raises(ValueError, match="no settings at"):
        raisonne.check(data, unsigned)


def test_python_checks_with_the_encoder_of_the_settings_where_it_is_not_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(picture(1))
    bundles.write(tmp_path / "home" / "guard" / "version-000001", [data], Blurred(), encoder_name="own:elsewhere")
    (tmp_path / "raisonne.toml").write_text('home = "home"\n[encoders]\ncopy = "own:here"\n')
    monkeypatch.setenv("RAISONNE_CONFIG", str(tmp_path / "raisonne.toml"))
    named: list[str] = []
    monkeypatch.setattr(encoders, "load", lambda name, _device: named.append(name) or Blurred())
    assert (raisonne.check(data).decision, named) == ("block", ["own:here"])


def test_what_is_not_published_is_said(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"no published version; run `raisonne run`"):
        raisonne.open(tmp_path)
    with pytest.raises(ValueError, match="no settings at"):
        raisonne.open(tmp_path / "raisonne.toml")


def test_a_run_says_what_it_published_or_why_not(
    ran: tuple[Landing, raisonne.RunResult], landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, done = ran
    assert (done.version, done.unusable) == (1, {})
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    landing.keep_records_open()
    with records.outline(), pytest.raises(raisonne.RunError, match="nothing found at"):
        raisonne.run(landing.config)


def test_a_run_is_refused_as_the_command_refuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error with the fix, whatever stopped it, and nothing of what a library raised."""
    config = tmp_path / "raisonne.toml"
    config.write_text('home = "home"\n')
    for job, says in (("generations_only", "pass --forget with another job"), ("derive", "has no such dataset")):
        with pytest.raises(raisonne.RunError, match=says):
            raisonne.run(config, job, forget=["typo"])
    with monkeypatch.context() as patched, pytest.raises(raisonne.RunError) as full:
        patched.setattr(execution, "execute", _full_disk)
        raisonne.run(config)
    assert str(full.value).startswith("the run stopped, nothing is published yet: the disk of ")
    config.write_text('home = "raisonne.toml"\n')
    with pytest.raises(raisonne.RunError, match=r"raisonne\.toml.* cannot be written .*choose another `home`"):
        raisonne.run(config)


def _full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _stored(warehouse: Warehouse, sample: int) -> list[float]:
    table = warehouse._embeddings().to_table(columns=["vector"], filter=f"sample_id = {sample}")
    return table["vector"][0].as_py()


def test_the_page_is_true(sample: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "how-to" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RAISONNE_HOME", str(sample.home))
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102 -- the page's own
    assert names["case"].verdict == "exact" and len(names["bands"]) > 3
    names["warehouse"].close()
    listed = re.findall(r"^\| `warehouse\.(\w+)", page, re.M)
    public = [name for name in vars(Warehouse) if not name.startswith("_")]
    assert set(listed) | {"open", "close", "versions"} == {*public, "version"}
