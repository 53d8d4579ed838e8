"""Joins on a real Ray of two workers: the pairs of a join without it, also when a worker is killed."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest

from orchestration.compute import engines, ray_cluster
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.settings.sections import Compute
from tests.late_import import LateImport
from transforms.joins.cosine import join
from transforms.joins.hamming import join as hamming_join

if find_spec("ray") is None:
    pytest.skip("Ray is not installed; pip install '.[ray]'", allow_module_level=True)

ray: Any = LateImport("ray")
RAY = Compute(engine="ray")
RADIUS, SIMILAR = 31, 0.5


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with ray_cluster.connection(ray, RAY):
        yield


@pytest.fixture(scope="module")
def hashes() -> np.ndarray:
    """Return 3,000 hashes, every third a few bits from the one before it."""
    made = np.random.default_rng(3).integers(0, 256, (3_000, 32), np.uint8)
    made[2::3] = made[1::3]
    made[2::3, 4] ^= 0b1011
    return made


def pairs(found: Iterator[hamming_join.HammingPairs]) -> list[tuple[int, int, int]]:
    parts = [zip(p.left.tolist(), p.right.tolist(), p.distance.tolist(), strict=True) for p in found]
    return sorted(pair for part in parts for pair in part)


@pytest.mark.parametrize("old", [None, 1_000])
def test_hashes_have_the_same_pairs(cluster: None, hashes: np.ndarray, old: int | None) -> None:
    right = None if old is None else hashes[:old]
    tasks = hamming_join.tasks(len(hashes), old, RADIUS, parts=3)
    assert len(tasks) > 1
    apart = pairs(engines.join(tasks, hamming_join.run, hashes, right, RAY))
    assert apart == pairs(engines.join(tasks, hamming_join.run, hashes, right, Compute()))
    assert len(apart) >= 1_000
    assert len(apart) == len(set(apart)), "a pair came twice"


def test_vectors_have_the_same_pairs(cluster: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((900, 32), dtype=np.float32)
    vectors[::2] = vectors[1::2] + 0.3 * vectors[::2]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 32)
    table = lance.write_dataset(pa.table({"vector": column}), str(tmp_path / "vectors.lance"))
    rows = StoredVectors(table.uri, table.version, np.arange(0, 900, 2) + np.arange(450) % 2, 32)
    run = partial(join.run, threshold=SIMILAR)
    tasks = join.blocks(len(rows), None, 64_000, 32)
    assert len(tasks) > 1
    found = [
        sorted(
            (a, b, round(float(c), 5))
            for p in engines.join(tasks, run, rows, None, compute)
            for a, b, c in zip(p.left.tolist(), p.right.tolist(), p.score, strict=True)
        )
        for compute in (RAY, Compute())
    ]
    assert found[0] == found[1]


def test_a_killed_worker_costs_no_pair_and_doubles_none(cluster: None, tmp_path: Path) -> None:
    def dies_once(task: int, left: str, right: None) -> Iterator[int]:  # nested: workers cannot import this file
        yield 2 * task
        if task == 1 and not Path(left).exists():
            Path(left).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield 2 * task + 1

    found = engines.join(range(4), dies_once, str(tmp_path / "died"), None, RAY)
    assert sorted(found) == list(range(8))
    assert (tmp_path / "died").exists()


def test_what_a_task_raises_is_raised_here(cluster: None) -> None:
    def fails(task: int, left: None, right: None) -> Iterator[int]:
        raise ValueError(f"task {task} cannot be done")
        yield 0

    with pytest.raises(ValueError, match="cannot be done"):
        list(engines.join(range(2), fails, None, None, RAY))
