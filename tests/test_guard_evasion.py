"""A small part of the guard's table of evasions: what the page says is held, is held, by the encoder that is quick."""

import io
from pathlib import Path

import bundles
import pytest
from conftest import ROOT
from PIL import Image

from tests import evasions
from transforms import encoders
from transforms.guard import Guard

_PHOTOGRAPHS = sorted((ROOT / "data" / "sample" / "generations").glob("*.jpg"))[:3]
HELD = (
    "negative",
    "negative undone by an ICC profile",
    "darkness undone by gAMA",
    "second frame of a GIF",
    "second page of a TIFF",
    "under full transparency",
    "mirrored, 80% of a side",
    "turned by EXIF",
    "grey",
    "watermark",
)


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Guard:
    model = encoders.load("sscd_distilled")
    limits = {"pixels": 20_000_000, "member_bytes": 50_000_000}
    files = [path.read_bytes() for path in _PHOTOGRAPHS]
    folder = bundles.write(tmp_path_factory.mktemp("evasion") / "bundle", files, model, limits=limits)
    return Guard.load(folder, model)


@pytest.mark.parametrize("change", HELD)
def test_what_is_held_is_not_allowed(guard: Guard, change: str) -> None:
    for path in _PHOTOGRAPHS[:2]:
        shown = evasions.CHANGES[change](Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
        assert guard.check(shown).decision == "block"


def test_the_page_shows_every_change() -> None:
    page = (ROOT / "docs" / "reference" / "guard-evasion.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    assert set(evasions.CHANGES) <= set(rows)
    assert all(int(rows[change].split("|")[3]) <= 1 for change in HELD)
    assert Path(ROOT / "tests" / "benchmarks" / "guard_evasion.py").exists()
