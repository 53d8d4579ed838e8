"""A guard needs what its group of dependencies has, and nothing that takes hundreds of megabytes."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import bundles
import pyarrow as pa
import pytest
from bundles import Blurred
from conftest import ROOT, encoded, picture

from transforms.guard import Guard
from transforms.guard.bundle_writer import CLUSTER_SCHEMA
from transforms.guard.clusters import table

_ABSENT = ("numba", "llvmlite", "pyarrow", "scipy", "cv2", "torch", "dagster", "duckdb", "lance", "lancedb", "polars")
_PROGRAM = f"""
import json, sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {_ABSENT!r}:
            raise ModuleNotFoundError(name, name=name)

import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {_ABSENT!r} else find_spec(name, *rest)
sys.meta_path.insert(0, Absent())
from tests.blurred import Blurred
import orchestration.cli.guard.bundle, orchestration.cli.guard.check, orchestration.cli.guard.serve, raisonne
from orchestration import settings
from orchestration.guard.service import app, openapi, telemetry
from transforms.guard import Guard
from transforms.guard.deltas import delta
guard = Guard.load(sys.argv[1], Blurred())
settings.in_force(None)
answers = [guard.check(Path(each)).as_dict() for each in sys.argv[2:]]
print(json.dumps([[each["decision"], each["reason"], each["sources"]] for each in answers]))
"""


def test_a_guard_answers_alike_where_numba_and_arrow_are_not_installed(tmp_path: Path) -> None:
    files = [encoded(picture(seed)) for seed in range(70)]
    folder = bundles.write(tmp_path / "bundle", files, Blurred(), indexed=True)
    shown = {"known": files[5], "alike": encoded(picture(7), quality=40), "new": encoded(picture(200))}
    for name, data in shown.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-P", "-c", _PROGRAM, str(folder), *(str(tmp_path / name) for name in shown)]
    env = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    guard = Guard.load(folder, Blurred())
    here = [guard.check(data).as_dict() for data in shown.values()]
    assert json.loads(done.stdout) == [
        [each["decision"], each["reason"], json.loads(json.dumps(each["sources"]))] for each in here
    ]
    assert [each["decision"] for each in here][:2] == ["block", "block"]


def test_the_group_of_the_guard_names_nothing_large() -> None:
    group = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["guard"]
    names = {each.partition("=")[0].partition(">")[0] for each in group}
    assert not names & {*_ABSENT, "opencv-python-headless", "pylance"}


def test_the_table_of_clusters_is_read_as_arrow_reads_it(tmp_path: Path) -> None:
    rows = [
        {
            "cluster_id": 2**63 + number,
            "sample_id": number,
            "dataset": "é" * (number % 3),
            "duplicate_count": number,
            "recalled_count": 1,
            "url": None if number % 5 == 2 else f"https://example.org/ü/{number}",
            "licenses": [f"licence {each}" for each in range(number % 4)],
        }
        for number in range(50)
    ]
    whole = pa.Table.from_pylist(rows, CLUSTER_SCHEMA)
    with pa.OSFile(str(tmp_path / "a"), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA) as file:
        for start, count in ((0, 7), (7, 0), (7, 1), (8, 30), (38, 12)):
            file.write_batch(pa.RecordBatch.from_pylist(rows[start : start + count], CLUSTER_SCHEMA))
    with pa.OSFile(str(tmp_path / "b"), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA) as file:
        file.write_table(whole.slice(3, 40))
    for name, expected in (("a", rows), ("b", rows[3:43])):
        found = table.read((tmp_path / name).read_bytes())
        assert [found.row(number) for number in range(len(found))] == expected
        assert [found.shown_by(number) for number in (0, 9)] == [expected[n]["duplicate_count"] + 1 for n in (0, 9)]
        assert found.column("cluster_id").tolist() == [row["cluster_id"] for row in expected]
        with pytest.raises(IndexError):
            found.row(len(expected))


def test_text_that_is_none_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    row = {"cluster_id": 1, "sample_id": 1, "duplicate_count": 1, "recalled_count": 0, "licenses": []}
    rows = [row | {"dataset": "aé", "url": "x" * (1 << 20) + "é"}, row | {"dataset": "éa", "url": "b"}]
    with pa.OSFile(str(tmp_path / "a"), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA) as file:
        file.write_table(pa.Table.from_pylist(rows, CLUSTER_SCHEMA))
    data = (tmp_path / "a").read_bytes()
    assert len(table.read(data)) == 2
    for before, after in (("aééa".encode(), b"a\xc3aa\xa9a"), (b"xx\xc3\xa9b", b"xx\xc3\xa9\xa9")):
        assert data.count(before) == 1
        with pytest.raises(ValueError, match="is not UTF-8"):
            table.read(data.replace(before, after))
    offsets = b"".join(each.to_bytes(4, "little") for each in (0, 3, 6))
    assert data.count(offsets) >= 1
    with pytest.raises(ValueError, match="is not UTF-8: a character is cut"):
        table.read(data.replace(offsets, b"".join(each.to_bytes(4, "little") for each in (0, 2, 6))))
