"""The README and the pages that it leads to are true: length, links, targets, pictures, numbers, defaults.

What belongs here: what a page says in its text. What does not: its code blocks (`tests/test_pages.py`), the
site's links (`tests/test_docs_site.py`).
"""

import re
import tomllib
from pathlib import Path

import duckdb
import pytest
from conftest import ROOT, Landing
from page_blocks import PAGES, blocks

from orchestration import settings
from orchestration.cli import summary
from orchestration.settings.sections import Policies, Reports
from transforms.alignment.policy import PixelLimits

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
LIMITS = (ROOT / "docs" / "explanation" / "limits.md").read_text(encoding="utf-8")
_LINES = 180


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= _LINES
    assert [block.language for block in blocks("README.md")].count("sql") == 3


def test_the_six_stages_are_those_of_the_models() -> None:
    from orchestration.warehouse.models import STAGES

    stages = re.findall(r"^\| (\w+) \| .*\? \|", README, re.M)
    assert stages == [stage for stage in STAGES if stage != "warehouse"]


@pytest.mark.parametrize("page", [page for page in PAGES if "make " in (ROOT / page).read_text(encoding="utf-8")])
def test_every_make_target_is_in_the_makefile(page: str) -> None:
    named = set(re.findall(r"`make (\w+)", (ROOT / page).read_text(encoding="utf-8")))
    targets = set(re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert named <= targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_every_linked_file_exists(page: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / page).read_text(encoding="utf-8"))
    assert targets
    assert [t for t in targets if "://" not in t and not (ROOT / t).is_file()] == []


def test_the_pictures_are_small_enough_to_load() -> None:
    pages = [ROOT / page for page in PAGES]
    shown = {
        page.parent / target
        for page in pages
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8"))
    }
    assert len(shown) > 5
    assert [str(picture) for picture in shown if picture.stat().st_size >= 400_000] == []


def test_the_defaults_shown_are_the_defaults() -> None:
    policies, *_ = [b for b in blocks("docs/how-to/removal-lists.md") if b.language == "toml"]
    assert Policies(**tomllib.loads(policies.text)["policies"]) == Policies()
    [reports] = [b for b in blocks("docs/how-to/reports.md") if b.language == "toml"]
    assert Reports(**tomllib.loads(reports.text)["reports"]) == Reports()


def test_the_variables_shown_override_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = blocks("docs/how-to/your-data.md")
    [shown] = [block for block in page if block.about == "my.toml"]
    (tmp_path / "my.toml").write_text(shown.text, encoding="utf-8")
    assigned = [each for block in page for each in re.findall(r"RAISONNE_[A-Z_]+=\S+", block.text)]
    before = settings.load(tmp_path / "my.toml")
    for assignment in assigned:
        monkeypatch.setenv(*assignment.split("=", 1))
    changed = settings.load(tmp_path / "my.toml")
    assert (before.thresholds.pdq, changed.thresholds.pdq) == (31, 24)


def test_the_summary_shown_is_that_of_the_sample(sample: Landing, capsys: pytest.CaptureFixture[str]) -> None:
    varying = ("version:", "database:", "report:")
    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as con:
        warnings = [f"warning: {failure}" for failure in summary.failures(con)]
        summary.show(con, sample.home / "raisonne.duckdb", None)
    printed = [*warnings, *capsys.readouterr().out.splitlines()]
    [shown] = [block.text.splitlines() for block in blocks("README.md") if block.language == "console"]
    assert [line for line in printed if not line.startswith(varying)] == [
        line for line in shown[1 : shown.index("against the planted truth:")] if not line.startswith(varying)
    ]


def test_the_limits_shown_are_those_of_the_code(sample: Landing) -> None:
    [(pictures, null)] = sample.query(
        "select (select count(*) from duplicates.pictures), max(null_pictures) from matches.calibration"
    )
    assert f"{pictures} different pictures" in LIMITS
    assert f"1/{pictures + 1}" in LIMITS
    assert null == pictures, "the null distribution of the sample is drawn from all of them"
    limits = PixelLimits()
    assert limits.solid_share == 1 / 5
    assert f"under a fifth of both pictures ({limits.larger_share:.0%} where" in LIMITS


def test_every_promise_of_security_names_a_test() -> None:
    promises = re.findall(r"^\| (.*) \|$", SECURITY.partition("## What is promised")[2].partition("## ")[0], re.M)[2:]
    assert len(promises) > 15
    for promise in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)`", promise)
        assert named and all((ROOT / name).is_file() for name in named), promise
