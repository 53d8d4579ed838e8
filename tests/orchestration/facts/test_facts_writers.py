"""Fact tables under upkeep and under two writers at once: real processes, real conflicts."""

import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orchestration.facts import Facts, FactTable, upkeep

ROUNDS, STEP, WIDTH = 6, 50, 100  # each round's keys overlap those of the next, and of the other writer


def scores(ids: range, score: float) -> pa.Table:
    return pa.table({"sample_id": ids, "nearest_id": ids, "score": [score] * len(ids)})


def shard(number: int, rows: int, dimension: int, centres: int = 20) -> pa.Table:
    """Return the unit vectors of a shard, which lie close about a few centres: float32, (rows, dimension)."""
    middle = np.random.default_rng(0).standard_normal((centres, dimension))
    random = np.random.default_rng(number + 1)
    drawn = middle[random.integers(0, centres, rows)] + 0.5 * random.standard_normal((rows, dimension))
    unit = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), dimension)
    ids = np.arange(number * rows, (number + 1) * rows)
    return pa.table({"sample_id": ids, "shard_id": np.full(rows, number), "vector": column})


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return Facts(tmp_path / "facts")


def content(table: FactTable) -> pa.Table:
    return table.read(table.schema.names).sort_by([(key, "ascending") for key in table.keys])


def write(folder: Path, start: Barrier, score: float) -> None:
    table = Facts(folder)["null_scores"]
    start.wait(600)
    for number in range(ROUNDS):
        table.upsert(scores(range(number * STEP, number * STEP + WIDTH), score))


def write_others(folder: Path, start: Barrier, first: int) -> None:
    table = Facts(folder)["null_scores"]
    start.wait(600)
    for number in range(ROUNDS):
        table.upsert(scores(range(first + number * WIDTH, first + (number + 1) * WIDTH), 1.0))
        table.delete(f"sample_id = {first + number * WIDTH}")


def keep_up(folder: Path, start: Barrier) -> None:
    upkeep.SMALL_FRAGMENTS = 1
    table = Facts(folder)["null_scores"]
    start.wait(600)
    for _ in range(ROUNDS):
        table.maintain(index_rows=WIDTH)


def at_once(folder: Path, *works: tuple[Callable[..., None], tuple[object, ...]]) -> None:
    """Run functions in processes of their own, which set off together."""
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(len(works))
    processes = [spawn.Process(target=work, args=(folder, start, *arguments)) for work, arguments in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join(900)
    assert [process.exitcode for process in processes] == [0] * len(works)


def test_two_writers_of_the_same_keys_neither_double_nor_lose_rows(facts: Facts) -> None:
    at_once(facts.folder, (write, (1.0,)), (write, (2.0,)))
    rows = content(facts["null_scores"])
    assert rows["sample_id"].to_pylist() == list(range((ROUNDS - 1) * STEP + WIDTH))
    assert set(rows["score"].to_pylist()) <= {1.0, 2.0}


def test_upkeep_beside_two_writers_loses_nothing(facts: Facts) -> None:
    at_once(facts.folder, (write_others, (0,)), (write_others, (10_000,)), (keep_up, ()))
    wanted = [first + i for first in (0, 10_000) for i in range(ROUNDS * WIDTH) if i % WIDTH]
    assert content(facts["null_scores"])["sample_id"].to_pylist() == wanted


def test_new_keys_are_not_doubled_beside_an_index_on_them(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    table = facts["null_scores"]
    table.upsert(scores(range(1000), 0.0))
    assert table.maintain(index_rows=100)["new indices"] == 1
    before = table.dataset()
    table.upsert(scores(range(5000, 5010), 1.0))
    monkeypatch.setattr(FactTable, "_writable", lambda self: before)  # a writer that began before that commit
    table.upsert(scores(range(5000, 5010), 2.0))
    monkeypatch.undo()
    assert table.dataset().count_rows() == 1010
    assert set(table.read(where="sample_id >= 5000")["score"].to_pylist()) == {2.0}


def test_what_conflicts_is_tried_again_from_the_start(facts: Facts) -> None:
    table = facts["null_scores"]
    for number in range(3):
        table.upsert(scores(range(number * 10, number * 10 + 10), 0.0))
    opened = []

    def compact() -> int:
        dataset = table.dataset()
        opened.append(dataset.version)
        if len(opened) == 1:
            table.upsert(scores(range(5), 1.0))  # comes between
        return int(dataset.optimize.compact_files().fragments_removed)

    assert upkeep.retry(compact) > 0
    assert len(opened) == 2


@pytest.mark.parametrize(("said", "tries"), [("Retryable commit conflict for version 5", 10), ("no space left", 1)])
def test_only_conflicts_are_tried_again_and_not_for_ever(said: str, tries: int) -> None:
    count = 0

    def attempt() -> None:
        nonlocal count
        count += 1
        raise OSError(said)

    with pytest.raises(OSError, match=said):
        upkeep.retry(attempt)
    assert count == tries


def test_upkeep_joins_shards_once_they_are_many(facts: Facts) -> None:
    table = facts.embeddings("copy_embeddings", "tiny", 8)
    for number in range(upkeep.SMALL_FRAGMENTS):
        table.upsert(shard(number, 4, 8))
    version = table.version
    assert not any(table.maintain(index_rows=10_000).values())
    assert table.version == version, "nothing to do is no new version"
    table.upsert(shard(99, 4, 8))
    before = content(table)
    assert table.maintain(index_rows=10_000)["compacted fragments"] == upkeep.SMALL_FRAGMENTS + 1
    assert content(table).equals(before)
    assert (table.encoder, table.keys) == ("tiny", ["sample_id"])
    assert len(table.dataset().get_fragments()) == 1


def test_upkeep_drops_deleted_rows(facts: Facts) -> None:
    table = facts["null_scores"]
    table.upsert(scores(range(100), 0.5))
    table.delete("sample_id < 10")
    assert not any(table.maintain(1000).values()), "a tenth may stay"
    table.delete("sample_id < 11")
    assert table.maintain(1000)["compacted fragments"] == 1
    assert table.dataset().stats.dataset_stats()["num_deleted_rows"] == 0
    assert content(table)["sample_id"].to_pylist() == list(range(11, 100))


def test_tagged_versions_outlive_upkeep_and_cleanup(facts: Facts) -> None:
    table = facts["null_scores"]
    contents = {}
    for number in (1, 2, 3):
        table.upsert(scores(range(number * 10), number / 10))
        table.delete(f"sample_id = {number}")
        facts.tag(number, facts.versions())
        contents[number] = content(table)
    for step in range(upkeep.SMALL_FRAGMENTS + 1):
        table.upsert(scores(range(1000 + step, 1001 + step), 0.9))
    before = content(table)
    done = table.maintain(index_rows=10)
    assert min(done["compacted fragments"], done["new indices"]) > 0
    facts.keep_tags({1, 3})
    table.forget_old_versions(older_than=timedelta(0))
    kept = {name: tag["version"] for name, tag in table.dataset().tags.list().items()}
    assert {v["version"] for v in table.dataset().versions()} == {*kept.values(), table.version}
    for number in (1, 3):
        assert table.dataset(kept[f"warehouse-{number}"]).to_table().sort_by("sample_id").equals(contents[number])
    assert content(table).equals(before)


def recall(table: FactTable, queries: np.ndarray) -> float:
    """Return the share of each query's ten nearest rows that the index finds, searched as `copy_embeddings` is."""
    dataset, hits = table.dataset(), 0
    for query in queries:
        near = {"column": "vector", "q": query, "k": 10, "metric": "cosine", "nprobes": 8, "refine_factor": 2}
        found, exact = (
            set(dataset.to_table(columns=["sample_id"], nearest=near | {"use_index": use})["sample_id"].to_pylist())
            for use in (True, False)
        )
        hits += len(found & exact)
    return hits / (10 * len(queries))


def test_the_vector_index_finds_the_nearest_also_among_later_rows(facts: Facts) -> None:
    table = facts.embeddings("copy_embeddings", "tiny", 32)
    for number in range(4):
        table.upsert(shard(number, 500, 32))
    before = content(table)
    assert not any(table.maintain(index_rows=2001).values())
    assert table.maintain(index_rows=2000)["new indices"] == 3  # the key, the shard, the vectors
    queries = shard(77, 50, 32)["vector"].combine_chunks().flatten().to_numpy().reshape(-1, 32)
    assert recall(table, queries) >= 0.98
    table.upsert(shard(4, 500, 32))
    assert table.maintain(index_rows=2000) == {"compacted fragments": 0, "new indices": 0, "newly indexed fragments": 1}
    assert recall(table, queries) >= 0.98
    plan = table.dataset().scanner(nearest={"column": "vector", "q": queries[0], "k": 10}).explain_plan()
    assert "ANN" in plan
    version = table.version
    assert not any(table.maintain(index_rows=2000).values())
    assert table.version == version
    assert content(table).slice(0, 2000).equals(before)


def test_a_new_shard_costs_neither_large_fragments_nor_the_whole_index(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SMALL_FRAGMENTS", 3)
    table = facts["null_scores"]
    table.upsert(scores(range(100_000, 101_000), 0.5))
    assert table.maintain(1000)["new indices"] == 1
    [(base, _)] = segments(table)
    for number in range(20):
        table.upsert(scores(range(number * 10, number * 10 + 10), number / 100))
        table.maintain(1000)
        assert segments(table)[0] == (base, {0}), "the large fragment and its part of the index stay as they were"
        assert len(segments(table)) <= 6, "it is looked up in each segment"
        assert len(table.dataset().get_fragments()) <= 1 + 3 + 5
    assert table.dataset().count_rows() == 1200
    for number in range(20):
        assert table.read(["score"], f"sample_id = {number * 10 + 3}")["score"].to_pylist() == [number / 100]


def segments(table: FactTable) -> list[tuple[str, set[int]]]:
    [index] = table.dataset().describe_indices()
    return [(each.uuid, set(each.fragment_ids)) for each in index.segments]
