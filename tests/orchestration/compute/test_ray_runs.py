"""Whole runs on a real Ray cluster of two nodes: the facts of a run without it, also when workers are killed."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from orchestration.facts import Facts
from tests.benchmarks import scale_ray

if find_spec("ray") is None:
    pytest.skip("Ray is not installed; pip install '.[ray]'", allow_module_level=True)


@pytest.mark.thorough
def test_a_whole_run_loses_nothing_when_workers_are_killed_in_heavy_steps(tmp_path: Path) -> None:
    found = scale_ray.killed_workers(str(tmp_path), 12, kills=3, sample=4, first=1)
    assert found["different"] == 0 < found["rows"]
    assert found["killed"] == 3
    local, on_ray = (Facts(tmp_path / name / "facts") for name in ("local", "ray"))
    on_ray["null_fits"].delete("true")
    assert scale_ray.compared(local, on_ray)[1] == {"null_fits": 1}, "a row that is lost is seen"
