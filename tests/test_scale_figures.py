"""The figures of scale at sizes of thousands: each finds what was planted, and has no value where it does not."""

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from orchestration.duplicates import caption_groups as captions
from tests.benchmarks import scale, scale_inputs, scale_lake, scale_work
from tests.benchmarks.alone import alone, peak_gb
from tests.benchmarks.figures import fastest
from tests.benchmarks.scale_inputs import UNIFORM, ZIPF
from tests.benchmarks.scale_warehouse import PlantedWarehouse, hash_only
from tests.conftest import Landing
from transforms.joins.hamming import join

pytestmark = pytest.mark.thorough
TINY = scale.Sizes(20_000, 60_000, 4_000_000, 5_000, 20_000, 2_000, 1_000, 2_000, 50_000, 10, 0)


_ON_RAY = "ray_kill"
"""The figure that `tests/orchestration/compute/test_ray_runs.py` makes."""


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    """Bring back what benchmarks change in their own process: its environment, and what the command sets."""
    before, threshold = dict(os.environ), gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    os.environ.clear()
    os.environ.update(before)


def test_figures_say_their_size() -> None:
    assert all("RAISONNE_BENCH_FULL" in each.against for each in scale.figures(TINY))
    assert not any("RAISONNE_BENCH_FULL" in each.against for each in scale.figures(scale.USERS))


def test_every_figure_has_a_value_and_finds_what_was_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "SHARD", 500)
    monkeypatch.setattr(scale_work, "SHARD", 500)
    monkeypatch.setattr(scale_work, "_run", lambda warehouse: Landing(warehouse.folder).run_here("derive"))
    for name, value in (("READERS", 2), ("_ROUNDS", 1), ("_PAUSE_S", 0.1)):
        monkeypatch.setattr(scale_lake, name, value)
    monkeypatch.setattr(scale, "alone", lambda work, *sizes: {"peak_gb": peak_gb(), "cpu_s": 1.0, **work(*sizes)})
    scale._joined.cache_clear()
    scale._derived.cache_clear()
    found = {each.name: json.loads(each.line()) for each in scale.figures(TINY) if each.name != _ON_RAY}
    assert all(figure["value"] is not None for figure in found.values())
    parts = {name: figure.get("parts", {}) for name, figure in found.items()}
    assert parts["hamming_100m_s"]["pairs"] == parts["hamming_100m_s"]["planted"] == 400
    assert parts["hamming_300m_s"]["pairs"] == parts["hamming_300m_s"]["planted"] == 1_200
    assert parts["components_1b_s"]["components"] == 500
    assert parts["captions_20m_s"]["zipf_recall"] == parts["captions_20m_s"]["uniform_recall"] == 1
    assert parts["derive_20m_s"]["pictures"] == (2_000 if hash_only() else 40)
    assert parts["derive_20m_s"]["clusters"] > 2
    assert parts["publish_new_shard_s"]["rows"] == 2_500
    assert parts["lake_vs_file"]["answers"] >= scale_lake.READERS and parts["lake_vs_file"]["lake_mb"] > 0
    assert set(parts["commit_growth"]) >= {"fewer_s", "more_s", "more_peak_gb"}


def test_work_is_done_in_a_process_of_its_own() -> None:
    found = alone(scale_work.join_hashes, 20_000, 400)
    assert found["pairs"] == found["planted"] == 400
    assert 0.01 < found["before_gb"] <= found["peak_gb"] < 4
    assert found["cpu_s"] > 0
    with pytest.raises(RuntimeError, match=r"fastest.*(?s:.)*TypeError.*rounds"):
        alone(fastest, 1)


def test_a_hamming_join_that_misses_a_pair_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = join.self_join

    def missing(rows: np.ndarray, radius: int) -> Iterator[join.HammingPairs]:
        for pairs in whole(rows, radius):
            yield join.HammingPairs(pairs.left[1:], pairs.right[1:], pairs.distance[1:])

    monkeypatch.setattr(scale_work, "self_join", missing)
    with pytest.raises(AssertionError, match="1 of 60 planted pairs"):
        scale_work.join_hashes(3_000, 60)


def test_a_join_on_disk_that_misses_a_pair_or_is_none_has_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match="3000 hashes are joined in memory"):
        scale_work.join_hashes_within(str(tmp_path), 3_000, 60, 1_000_000)
    whole = scale_work.pairs_within

    def missing(*how: object) -> Iterator[join.HammingPairs]:
        for pairs in whole(*how):
            yield join.HammingPairs(pairs.left[1:], pairs.right[1:], pairs.distance[1:])

    monkeypatch.setattr(scale_work, "pairs_within", missing)
    with pytest.raises(AssertionError, match="of 60 planted pairs"):
        scale_work.join_hashes_within(str(tmp_path), 3_000, 60, 150_000)


def test_components_that_are_not_those_planted_have_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = scale_inputs.edges
    monkeypatch.setattr(scale_inputs, "edges", lambda *sizes: [next(edges(*sizes[:-1], 4_000))])
    with pytest.raises(AssertionError, match="label of another component"):
        scale_work.connect(5_003, 20_000, 500)


@pytest.mark.parametrize("words", [ZIPF, UNIFORM])
def test_copies_of_captions_that_minhash_finds_are_counted(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captions, "_COMPARISONS", 0)
    monkeypatch.setattr(captions, "_EACH", 0)
    scale_work.land(str(tmp_path), 2_000, words, 0)
    found = scale_work.group_captions(str(tmp_path))
    assert not found["exact"]
    assert found["planted"] == 100
    assert 0.9 < found["recall"] <= 1
    PlantedWarehouse.at(tmp_path).facts["caption_groups"].delete("true")
    assert scale_work.group_captions(str(tmp_path))["recall"] == 0


def test_a_version_without_all_that_was_planted_has_no_figure(tmp_path: Path) -> None:
    scale_work.land(str(tmp_path), 5_000, ZIPF, 1)
    warehouse = PlantedWarehouse.at(tmp_path)
    planted = warehouse.expected()
    with duckdb.connect(str(warehouse.settings.home / "raisonne.duckdb")) as con:
        con.execute(
            "create schema catalog; create schema fingerprints; create schema duplicates; create schema warehouse"
        )
        con.execute("create table catalog.samples as from range($rows)", {"rows": planted["rows"]})
        con.execute("create table duplicates.clusters as from range($rows)", {"rows": planted["clustered"]})
        con.execute("create table duplicates.counts as from range($rows)", {"rows": planted["clusters"]})
        con.execute("create table warehouse.versions as select 1 as version")
        pictures = {"rows": planted["pictures"]}
        con.execute("create table fingerprints.images as select 'ok' as status from range($rows)", pictures)
    assert scale_work.published(warehouse).items() >= planted.items()
    with duckdb.connect(str(warehouse.settings.home / "raisonne.duckdb")) as con:
        con.execute("delete from duplicates.clusters where range = 0")
    with pytest.raises(AssertionError, match="planted were"):
        scale_work.published(warehouse)
