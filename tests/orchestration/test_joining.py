"""Joins kept as facts: whatever comes, goes and comes back, the pairs are those of a full join, each once."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from orchestration.duplicates import incremental_join
from orchestration.duplicates.incremental_join import HASHES, PICTURES, Found, Join, Joined
from orchestration.facts import Facts
from transforms.hashing.digest_arrays import Lookup

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


def joiner(values: np.ndarray, asked: list[tuple[int, int]]) -> incremental_join.Joiner:
    def join(fresh: np.ndarray, rest: np.ndarray) -> tuple[Join, Iterator[Found]]:
        asked.append((len(fresh), len(rest)))

        def found() -> Iterator[Found]:
            distance = brute(values[fresh], values[fresh])
            a, b = np.nonzero(np.triu(distance <= RADIUS, k=1))
            yield Found(fresh[a], fresh[b], distance[a, b])
            distance = brute(values[fresh], values[rest])
            a, b = np.nonzero(distance <= RADIUS)
            yield Found(fresh[a], rest[b], distance[a, b])

        return Join("recipe", RADIUS), found()

    return join


def warehouse(folder: str | Path) -> SimpleNamespace:
    return SimpleNamespace(facts=Facts(Path(folder)))


def stored(joined: Joined) -> list[tuple[bytes, bytes, int]]:
    return [
        (*sorted((a.tobytes(), b.tobytes())), int(m))
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
def test_step_by_step_gives_the_pairs_of_a_full_join(steps: Sequence[set[int]], kind: incremental_join.Kind) -> None:
    with TemporaryDirectory() as folder:
        before: set[int] = set()
        for step in steps:
            values = np.array([value(n) for n in sorted(step)], np.uint8).reshape(-1, 32)
            asked: list[tuple[int, int]] = []
            joined = Joined(warehouse(folder), kind, lambda note: True)
            joined.extend(values, joiner(values, asked))
            assert asked == ([(len(step - before), len(step & before))] if step - before else []), "old met old again"
            assert sorted(stored(joined)) == sorted(expected(values))
            assert sum(note["new"] for note in joined.notes()) == len(values)
            assert sum(note["pairs"] for note in joined.notes()) == len(expected(values))
            before = step


def test_what_a_killed_join_left_is_deleted(tmp_path: Path) -> None:
    values = np.array([value(n) for n in range(12)], np.uint8)
    joined = Joined(warehouse(tmp_path), HASHES, lambda note: True)
    joined.extend(values[:6], joiner(values[:6], []))
    whole = joiner(values, [])

    def killed(fresh: np.ndarray, rest: np.ndarray) -> tuple[Join, Iterator[Found]]:
        made, found = whole(fresh, rest)

        def cut() -> Iterator[Found]:
            yield from found
            raise KeyboardInterrupt

        return made, cut()

    with pytest.raises(KeyboardInterrupt):
        joined.extend(values, killed)
    # killed between the two tables and the note
    facts = Facts(tmp_path)
    facts["joined_hashes"].append([incremental_join._batch(facts["joined_hashes"], 2, values[6:])])
    again = Joined(warehouse(tmp_path), HASHES, lambda note: True)
    assert facts["joined_hashes"].dataset().count_rows() == 6
    again.extend(values, whole)
    assert sorted(stored(again)) == sorted(expected(values))
    assert [(note["new"], note["old"]) for note in again.notes()] == [(6, 0), (6, 6)]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_run_killed_while_it_forgets_loses_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    values = np.array([value(n) for n in range(16)], np.uint8)
    Joined(warehouse(tmp_path), HASHES, lambda note: True).extend(values, joiner(values, []))
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
        Joined(warehouse(tmp_path), HASHES, lambda note: True).extend(values[:6], joiner(values[:6], []))
    back = Joined(warehouse(tmp_path), HASHES, lambda note: True)  # all is there again before the next run
    back.extend(values, joiner(values, []))
    assert sorted(stored(back)) == sorted(expected(values))
    assert sum(note["new"] for note in back.notes()) == len(values)
    assert sum(note["pairs"] for note in back.notes()) == len(expected(values))
    assert "forgetting hashes" not in Facts(tmp_path)["joins"].counts("kind")


def test_a_join_of_other_settings_is_made_anew(tmp_path: Path) -> None:
    values = np.array([value(n) for n in range(12)], np.uint8)
    Joined(warehouse(tmp_path), HASHES, lambda note: True).extend(values, joiner(values, []))
    asked: list[tuple[int, int]] = []
    other = Joined(warehouse(tmp_path), HASHES, lambda note: note["recipe"] == "another")
    other.extend(values, joiner(values, asked))
    assert asked == [(12, 0)]
    assert sorted(stored(other)) == sorted(expected(values))
    assert len(other.notes()) == 1


@pytest.mark.parametrize("lost", ["near_hashes", "joined_hashes", "joins"])
def test_a_table_that_was_lost_has_all_joined_anew(tmp_path: Path, lost: str) -> None:
    values = np.array([value(n) for n in range(12)], np.uint8)
    first = Joined(warehouse(tmp_path), HASHES, lambda note: True)
    first.extend(values, joiner(values, []))
    first.settle("all of it")
    assert Joined(warehouse(tmp_path), HASHES, lambda note: True).current("all of it")
    shutil.rmtree(tmp_path / f"{lost}.lance")
    again = Joined(warehouse(tmp_path), HASHES, lambda note: True)
    assert not again.current("all of it")
    asked: list[tuple[int, int]] = []
    again.extend(values, joiner(values, asked))
    assert asked == [(12, 0)]
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
