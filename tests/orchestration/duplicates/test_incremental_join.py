"""Joins kept as facts: whatever comes, goes and comes back, the pairs are those of a full join, each once."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from orchestration.duplicates import incremental_join
from orchestration.duplicates.incremental_join import (
    HASHES,
    PICTURES,
    Backlog,
    IncrementalJoin,
    JoinedBlock,
    JoinKind,
    JoinNote,
)
from orchestration.facts import Facts
from transforms.hashing.digest_tables import Lookup

RADIUS = 3
RNG = np.random.default_rng(5)
CENTRES = RNG.integers(0, 256, (4, 32), np.uint8)


def value(number: int) -> np.ndarray:
    """Return one of 40 hashes, of which those with the same remainder by 4 lie near each other."""
    made = CENTRES[number % 4].copy()
    made[number // 4 % 32] ^= 1 << (number % 8)
    return made


def brute(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.bitwise_count(left[:, None] ^ right[None]).sum(axis=2)


def blocks(work: Backlog) -> Iterator[JoinedBlock]:
    new, old = work.values[work.new], work.values[work.old]
    distance = brute(new, new)
    a, b = np.nonzero(np.triu(distance <= RADIUS, k=1))
    yield JoinedBlock(work.new[a], work.new[b], distance[a, b])
    distance = brute(new, old)
    a, b = np.nonzero(distance <= RADIUS)
    yield JoinedBlock(work.new[a], work.old[b], distance[a, b])


def opened(folder: str | Path, kind: JoinKind = HASHES, recipe: str = "recipe") -> IncrementalJoin:
    """Return a join as a run finds it: repaired."""
    joined = IncrementalJoin(Facts(Path(folder)), kind, {recipe}, "all of it")
    joined.repair()
    return joined


def extend(joined: IncrementalJoin, values: np.ndarray, recipe: str = "recipe") -> list[tuple[int, int]]:
    """Join what is new; return how many new values were joined with how many old ones, nothing where there are none."""
    work = joined.backlog(values)
    if not len(work.new):
        return []
    joined.add(work, JoinNote(recipe, RADIUS), blocks(work))
    return [(len(work.new), len(work.old))]


def stored(joined: IncrementalJoin) -> list[tuple[bytes, bytes, int]]:
    return [
        (a.tobytes(), b.tobytes(), int(m))  # the lower first, whatever the order in which they were joined
        for near in incremental_join.near_pairs(joined._facts, joined.kind)
        for a, b, m in zip(near.a, near.b, near.measure, strict=True)
    ]


def expected(values: np.ndarray) -> list[tuple[bytes, bytes, int]]:
    distance = brute(values, values)
    a, b = np.nonzero(np.triu(distance <= RADIUS, k=1))
    return [
        (*sorted((values[i].tobytes(), values[j].tobytes())), int(distance[i, j])) for i, j in zip(a, b, strict=True)
    ]


@given(st.lists(st.sets(st.integers(0, 39), max_size=20), min_size=1, max_size=4), st.sampled_from([HASHES, PICTURES]))
@settings(max_examples=15, deadline=None)
def test_step_by_step_gives_the_pairs_of_a_full_join(steps: Sequence[set[int]], kind: JoinKind) -> None:
    with TemporaryDirectory() as folder:
        before: set[int] = set()
        for step in steps:
            values = np.array([value(n) for n in sorted(step)], np.uint8).reshape(-1, 32)
            joined = opened(folder, kind)
            asked = extend(joined, values)
            assert asked == ([(len(step - before), len(step & before))] if step - before else []), "old met old again"
            assert sorted(stored(joined)) == sorted(expected(values))
            assert sum(note["new"] for note in joined.notes()) == len(values)
            assert sum(note["pairs"] for note in joined.notes()) == len(expected(values))
            before = step


def test_what_a_killed_join_left_is_deleted(tmp_path: Path) -> None:
    values = np.array([value(n) for n in range(12)], np.uint8)
    joined = opened(tmp_path)
    extend(joined, values[:6])
    work = joined.backlog(values)

    def killed() -> Iterator[JoinedBlock]:
        yield from blocks(work)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        joined.add(work, JoinNote("recipe", RADIUS), killed())
    # killed between the two tables and the note
    facts = Facts(tmp_path)
    facts["joined_hashes"].append([incremental_join._batch(facts["joined_hashes"], 2, values[6:])])
    again = IncrementalJoin(facts, HASHES, {"recipe"}, "all of it")
    assert facts["joined_hashes"].dataset().count_rows() == 12, "opening a join repaired it"
    again.repair()
    assert facts["joined_hashes"].dataset().count_rows() == 6
    extend(again, values)
    assert sorted(stored(again)) == sorted(expected(values))
    assert [(note["new"], note["old"]) for note in again.notes()] == [(6, 0), (6, 6)]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_run_killed_while_it_forgets_loses_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    values = np.array([value(n) for n in range(16)], np.uint8)
    extend(opened(tmp_path), values)
    kept, calls = incremental_join._keep, []

    def killed(*arguments: object) -> None:
        if len(calls) == at:
            raise KeyboardInterrupt
        calls.append(arguments)
        kept(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(incremental_join, "_keep", killed)
        if at == 2:  # between the pairs and their counts
            patched.setattr(incremental_join, "Counter", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        extend(opened(tmp_path), values[:6])
    back = opened(tmp_path)  # all is there again before the next run
    extend(back, values)
    assert sorted(stored(back)) == sorted(expected(values))
    assert sum(note["new"] for note in back.notes()) == len(values)
    assert sum(note["pairs"] for note in back.notes()) == len(expected(values))
    assert "forgetting hashes" not in Facts(tmp_path)["joins"].counts("kind")


def test_a_join_of_other_settings_is_made_anew(tmp_path: Path) -> None:
    values = np.array([value(n) for n in range(12)], np.uint8)
    extend(opened(tmp_path), values)
    other = opened(tmp_path, recipe="another")
    assert extend(other, values, recipe="another") == [(12, 0)]
    assert sorted(stored(other)) == sorted(expected(values))
    assert len(other.notes()) == 1


@pytest.mark.parametrize("lost", ["near_hashes", "joined_hashes", "joins"])
def test_a_table_that_was_lost_has_all_joined_anew(tmp_path: Path, lost: str) -> None:
    values = np.array([value(n) for n in range(12)], np.uint8)
    first = opened(tmp_path)
    extend(first, values)
    first.settle()
    assert opened(tmp_path).current
    shutil.rmtree(tmp_path / f"{lost}.lance")
    again = opened(tmp_path)
    assert not again.current
    assert extend(again, values) == [(12, 0)]
    assert sorted(stored(again)) == sorted(expected(values))


def test_digests_that_share_their_first_bytes_are_told_apart() -> None:
    digests = np.zeros((50, 32), np.uint8)
    digests[:, 20] = np.arange(50)
    digests[40:, 0] = 9
    position, found = Lookup(digests).find(digests[::-1])
    assert found.all()
    assert position.tolist() == list(range(49, -1, -1))
    missing = np.full((1, 32), 3, np.uint8)
    assert not Lookup(digests).find(missing)[1].any()
    assert not Lookup(digests[:0]).find(missing)[1].any()
