"""What `raisonne init` refuses before it writes, and what it says when it cannot measure."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import encoded, picture

from orchestration.cli.init import init
from orchestration.cli.published import ExitCode
from tests.orchestration.survey.test_findings import shards


@pytest.fixture
def land(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which is empty."""
    (tmp_path / "land").mkdir()
    monkeypatch.chdir(tmp_path / "land")
    return tmp_path / "land"


def pictures(folder: Path, number: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in range(number):
        (folder / f"{each}.jpg").write_bytes(encoded(picture(each, 64, 48)))


def said(*arguments: str) -> Result:
    """Run the command in this process, and return what it says."""
    return CliRunner().invoke(init, arguments)


@pytest.mark.parametrize(
    ("folders", "arguments"),
    [
        (["."], []),
        (["cats", "dogs"], []),
        (["cats", "dogs"], ["--home", "cats/../data"]),
        (["."], ["--generations", "."]),
    ],
)
def test_no_warehouse_among_the_pictures(land: Path, folders: list[str], arguments: list[str]) -> None:
    for each in folders:
        pictures(land / each)
    done = said(*arguments)
    assert done.exit_code == ExitCode.USAGE and "would lie among the pictures" in done.output
    assert not (land / "raisonne.toml").exists()


def test_no_warehouse_where_a_glob_of_all_folders_finds_it(land: Path) -> None:
    shards(land / "part-0", "00000")
    shards(land / "part-1", "00000")
    done = said()
    assert done.exit_code == ExitCode.USAGE and "would lie among the pictures" in done.output
    assert "would lie" not in said("--home", "../home", "--encoder", "none_such").output


@pytest.mark.parametrize(("option", "value"), [("--home", b"h\xff"), ("--encoder", b"sscd:\xff.pt")])
def test_a_name_that_toml_cannot_hold_is_refused(land: Path, option: str, value: bytes) -> None:
    pictures(land / "photos")
    done = said("photos", option, os.fsdecode(value))
    assert done.exit_code == ExitCode.USAGE and f"{option}: " in done.output and "no name in UTF-8" in done.output


_ENCODER = """
from transforms.encoders.identity import EncoderId

class Odd:
    id = EncoderId("odd", "0", "none", 4, "f32")

    def prepare(self, picture):
        return picture

    def embed(self, prepared):
        {embed}

def make(rest):
    return Odd()
"""


@pytest.mark.parametrize("embed", ["return [0]", "raise OSError(28, 'the device is full')"])
def test_an_encoder_that_fails_costs_the_estimate_not_the_settings(
    land: Path, monkeypatch: pytest.MonkeyPatch, embed: str
) -> None:
    site = land / "site"
    (site / "odd-1.dist-info").mkdir(parents=True)
    (site / "odd-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (site / "odd-1.dist-info" / "entry_points.txt").write_text("[raisonne.encoders]\nodd = odd_vectors:make\n")
    (site / "odd_vectors.py").write_text(_ENCODER.format(embed=embed))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "odd_vectors", raising=False)
    pictures(land / "photos")
    done = said("photos", "--encoder", "odd")
    assert done.exit_code == 0, done.output
    assert "time: not known: " in done.output and "cannot be written" not in done.output
    assert 'copy = "odd"' in (land / "raisonne.toml").read_text()
