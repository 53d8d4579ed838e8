"""The SQL of the project in DuckDB 2.0 and in the pinned release: the same tables, macros and queries answer the same.

DuckDB 2.0 is installed into a folder of its own, and each release runs in a process of its own.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from conftest import ROOT, Landing

RELEASE = "2.0.1"
_OF_A_RELEASE = {"release", "cli/function_names"}  # the functions that a release has itself
_NEEDS_MORE = {"catalog", "claims", "disclosures", "duplicates", "find", "guard", "matches"}
"""Groups with queries of tables that Python makes for them."""


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with DuckDB 2.0 in it."""
    folder = tmp_path_factory.mktemp("duckdb")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"]
    done = subprocess.run([*command, str(folder), f"duckdb=={RELEASE}"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"DuckDB {RELEASE} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return folder


def _answers(what: str, config: Path, file: Path, *path: Path) -> dict[str, list[str]]:
    """Run `tests.duckdb_build` in a process whose modules come from these folders first."""
    answers = file.with_name(f"{what} {'newer' if path else 'pinned'}.json")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAISONNE_")}
    env = kept | {"PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    command = [sys.executable, "-P", "-m", "tests.duckdb_build", what, str(config), str(file), str(answers)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(answers.read_text(encoding="utf-8"))


def _different(one: dict[str, list[str]], other: dict[str, list[str]]) -> dict[str, list[tuple[str, str]]]:
    return {
        name: [pair for pair in zip(one[name], other[name], strict=False) if pair[0] != pair[1]][:3]
        for name in one
        if name not in _OF_A_RELEASE and one[name] != other[name]
    }


@pytest.mark.thorough
def test_both_releases_build_and_read_the_same(newer: Path, sample: Landing, tmp_path: Path) -> None:
    pinned_file, newer_file = tmp_path / "pinned.duckdb", tmp_path / "newer.duckdb"
    pinned = _answers("build", sample.config, pinned_file)
    built = _answers("build", sample.config, newer_file, newer)
    read = _answers("read", sample.config, pinned_file, newer)
    assert (pinned["release"], built["release"], read["release"]) == ([duckdb.__version__], [RELEASE], [RELEASE])
    assert built.keys() == read.keys() == pinned.keys()
    assert _different(pinned, built) == {}, "built by each"
    assert _different(pinned, read) == {}, "built by the pinned release, read by the newer"
    failed = {name for name, lines in pinned.items() if len(lines) == 1 and lines[0].endswith(("Exception", "Error"))}
    assert {name.partition("/")[0] for name in failed} <= _NEEDS_MORE
    assert len(pinned["provenance.sources"]) > 1 and any(name.startswith("sources_of(") for name in pinned)
    with pytest.raises(duckdb.IOException, match="newer version of DuckDB"):
        duckdb.connect(str(newer_file), read_only=True)


def test_the_page_names_the_releases() -> None:
    page = (ROOT / "docs" / "reference" / "duckdb-2.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\b[12]\.\d+\.\d+\b", page)) == {duckdb.__version__, RELEASE}
