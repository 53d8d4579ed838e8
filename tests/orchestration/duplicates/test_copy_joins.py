"""The join of hashes within `joins.memory`: on disk or in memory it commits the same pairs, and says what it lacks."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from orchestration.compute import engines
from orchestration.duplicates import copy_joins
from orchestration.duplicates.copy_joins import HashJoin
from orchestration.duplicates.incremental_join import HASHES, near_pairs
from orchestration.facts import Facts
from orchestration.progress import Lines, _reporter
from orchestration.runtime import full_disks
from orchestration.settings.memory import MemoryParts
from orchestration.settings.sections import Compute
from tests.transforms.joins.test_hamming_join import about, triples
from transforms.hashing.digest_arrays import PickedDigests
from transforms.joins.hamming.join import BandTask, HammingPairs, self_join


class _Values:
    """Pictures of which only the different hashes are asked for."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def hashed(self) -> tuple[PickedDigests]:
        return (PickedDigests(self._values, np.arange(len(self._values))),)


def _joined(
    folder: Path, memory: int, *deliveries: np.ndarray, compute: Compute | None = None
) -> set[tuple[int, int, int]]:
    """Join hashes as they come, and return the committed pairs by their index in the last delivery."""
    facts = Facts(folder)
    for values in deliveries:
        join = HashJoin(facts, None, 31, MemoryParts.of(None, memory, None), compute or Compute())
        join.record.repair()
        join.extend(_Values(values))
    index = {row.tobytes(): number for number, row in enumerate(deliveries[-1])}
    found = []
    for pairs in near_pairs(facts, HASHES):
        ends = [np.array([index[row.tobytes()] for row in rows]) for rows in (pairs.a, pairs.b)]
        found.append(HammingPairs(np.minimum(*ends), np.maximum(*ends), pairs.measure))
    return triples(found)


def test_hashes_that_memory_does_not_hold_are_joined_on_disk(tmp_path: Path) -> None:
    values = np.unique(about(31, 300, np.random.default_rng(1)), axis=0)
    true = triples(self_join(values, 31))
    assert len(true) > 100
    for memory in (1_000_000_000, 50_000):
        parts = values[::2], values[: len(values) // 2 * 2], values
        assert _joined(tmp_path / str(memory), memory, *parts) == true
    assert not list(tmp_path.rglob("tmp*"))


def test_a_join_that_the_disk_has_no_room_for_says_how_much_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_disks, "free", lambda _: 1_000)
    values = np.unique(about(31, 100, np.random.default_rng(2)), axis=0)
    with pytest.raises(dg.Failure, match=r"takes 28.* kB of the disk .* 1.0 kB are free: .*`joins.memory` to 28"):
        _joined(tmp_path, 10_000, values)
    assert not Facts(tmp_path)["near_hashes"].dataset().count_rows()


def test_the_join_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    values = np.unique(about(31, 300, np.random.default_rng(1)), axis=0)
    monkeypatch.setattr("orchestration.progress._EVERY_S", 0)
    token = _reporter.set(Lines(said.append))
    try:
        _joined(tmp_path, 50_000, values)
    finally:
        _reporter.reset(token)
    assert sum(line.startswith("joining hashes: ") and f" of {len(values)}," in line for line in said) > 10
    assert f"joining hashes: {len(values)} in" in "".join(said)


def test_ray_workers_join_what_the_memory_of_each_holds_and_the_run_itself_joins_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    sent: list[int] = []

    def joined(
        tasks: Iterable[BandTask], run: Callable[..., Iterator], left: np.ndarray, right: None, compute: Compute
    ) -> Iterator[HammingPairs]:
        sent.append(len(left))
        return (pairs for task in tasks for pairs in run(task, left, right))

    monkeypatch.setattr(engines, "join", joined)
    monkeypatch.setattr(copy_joins, "say", said.append)
    values = np.unique(about(31, 300, np.random.default_rng(1)), axis=0)
    true = triples(self_join(values, 31))
    for memory in (104 * len(values), 104 * len(values) - 1):
        assert _joined(tmp_path / str(memory), memory, values, compute=Compute(engine="ray")) == true
    assert sent == [len(values)]
    [sentence] = said
    assert f"joining {len(values):,} hashes takes more than joins.memory" in sentence
    assert "in the process of the run" in sentence
