"""Cosine joins, nearest neighbours and searching over views, each against plain numpy in float64."""

import pickle
from collections.abc import Iterable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms.joins.cosine import join
from transforms.joins.cosine import tiles as cosine_scan
from transforms.joins.cosine.join import (
    ArrayRows,
    CosinePairs,
    blocks,
    cross_join,
    nearest,
    run,
    self_join,
)
from transforms.matches.search import best_over_views

SEEDS = st.integers(0, 2**32 - 1)
MEMORIES = st.integers(1, 4000)  # of vectors of 32 bytes: blocks of one row to all in one


def unit(seed: int, count: int, dimension: int = 8) -> np.ndarray:
    """Return unit vectors, some of them close to or equal to others."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(max(1, count // 3), dimension))
    drawn = base[rng.integers(0, len(base), count)] + rng.choice([0, 0.1, 1], count)[:, None] * rng.normal(
        size=(count, dimension)
    )
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return left.astype(np.float64) @ right.T.astype(np.float64)


def listed(batches: Iterable[CosinePairs]) -> dict[tuple[int, int], float]:
    found = [p for b in batches for p in zip(b.left.tolist(), b.right.tolist(), b.score.tolist(), strict=True)]
    pairs = {(a, b): score for a, b, score in found}
    assert len(pairs) == len(found), "a pair was reported twice"
    return pairs


def check(found: dict[tuple[int, int], float], scores: np.ndarray, threshold: float, apart: np.ndarray) -> None:
    """Assert that exactly the pairs of `apart` above the threshold were found; on it, rounding decides."""
    pairs = np.zeros(scores.shape, bool)
    for (a, b), score in found.items():
        pairs[a, b] = True
        assert score == pytest.approx(scores[a, b], abs=1e-5)
    wrong = (pairs != ((scores > threshold) & apart)) & (np.abs(scores - threshold) > 1e-5)
    assert not wrong.any()
    assert not (pairs & ~apart).any()


class Recording(ArrayRows):
    """Rows that remember what was asked of them."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors)
        object.__setattr__(self, "asked", [])

    def read(self, start: int, stop: int) -> np.ndarray:
        assert 0 <= start < stop <= len(self)
        self.asked.append(stop - start)
        return super().read(start, stop)


@pytest.fixture(params=["cpu", "small", "cuda"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles larger than the data, tiles smaller than it, and tiles that hold more than a batch."""
    size = {"cpu": cosine_scan.TILES["cpu"], "small": (5, 3), "cuda": (40, 40)}[request.param]
    monkeypatch.setattr(cosine_scan, "TILES", {"cpu": size, "cuda": size})
    if request.param != "cpu":
        monkeypatch.setattr(cosine_scan, "BATCH", 15)
        monkeypatch.setattr(join, "BATCH", 15)


@pytest.mark.parametrize("threshold", [-1.1, -0.2, 0.3, 0.9])
@pytest.mark.usefixtures("tiles")
def test_a_join_finds_exactly_the_pairs_above_the_threshold_whatever_the_memory(threshold: float) -> None:
    for seed, count, memory in [(0, 1, 1), (1, 30, 1), (2, 29, 200), (3, 40, 1000), (4, 31, 10_000), (5, 17, 64)]:
        vectors = unit(seed, count)
        scores = cosines(vectors, vectors)
        found = list(self_join(vectors, threshold, memory))
        assert all(0 < len(batch.left) <= join.BATCH for batch in found)
        check(listed(found), scores, threshold, np.triu(np.ones_like(scores, bool), 1))


@given(seed=SEEDS, count=st.integers(1, 40), memory=MEMORIES, threshold=st.sampled_from([-0.2, 0.3, 0.9]))
@settings(max_examples=40, deadline=None)
def test_the_self_join_agrees_with_brute_force(seed: int, count: int, memory: int, threshold: float) -> None:
    vectors = unit(seed, count)
    scores = cosines(vectors, vectors)
    check(listed(self_join(vectors, threshold, memory)), scores, threshold, np.triu(np.ones_like(scores, bool), 1))


@given(seed=SEEDS, counts=st.tuples(st.integers(0, 30), st.integers(0, 30)), memory=MEMORIES)
@settings(max_examples=40, deadline=None)
def test_the_cross_join_agrees_with_brute_force(seed: int, counts: tuple[int, int], memory: int) -> None:
    vectors = unit(seed, sum(counts))
    new, old = vectors[: counts[0]], vectors[counts[0] :]
    scores = cosines(new, old)
    check(listed(cross_join(new, old, 0.3, memory)), scores, 0.3, np.ones_like(scores, bool))


@given(seed=SEEDS, count=st.integers(2, 40), cut=st.floats(0, 1), memory=MEMORIES)
@settings(max_examples=40, deadline=None)
def test_joining_new_rows_with_old_ones_makes_up_the_join_of_all(
    seed: int, count: int, cut: float, memory: int
) -> None:
    vectors, old = unit(seed, count), int(cut * count)
    threshold = 0.30001  # few of the scores lie within rounding of it
    parts = listed(self_join(vectors[:old], threshold, memory))
    parts |= {(a + old, b + old): s for (a, b), s in listed(self_join(vectors[old:], threshold, memory)).items()}
    parts |= {(b, a + old): s for (a, b), s in listed(cross_join(vectors[old:], vectors[:old], threshold)).items()}
    scores = cosines(vectors, vectors)
    check(parts, scores, threshold, np.triu(np.ones_like(scores, bool), 1))


def test_where_everything_is_near_everything_batches_stay_bounded() -> None:
    vectors = np.ones((3000, 1), np.float32)
    sizes = [len(batch.left) for batch in self_join(vectors, 0.5)]
    assert sum(sizes) == 3000 * 2999 // 2
    assert max(sizes) <= cosine_scan.BATCH


def test_a_join_never_reads_more_than_its_memory() -> None:
    memory, rows = 6400, Recording(unit(1, 1000))
    found = listed(self_join(rows, 0.9, memory))
    assert found.keys() == listed(self_join(rows.vectors, 0.9)).keys()
    assert max(rows.asked) * 4 * rows.dimension == memory // 2  # the outer block
    assert sorted(set(rows.asked))[-2] * 4 * rows.dimension <= memory // 8
    outer, inner = memory // 2 // 32, memory // 8 // 32
    passes = [range(start, 1000, inner) for start in range(0, 1000, outer)]
    assert len(rows.asked) == sum(len(p) + 1 for p in passes), "each outer block costs one pass"


def test_tasks_are_independent_and_can_be_sent_elsewhere() -> None:
    new, old = unit(2, 50), unit(3, 70)
    for right in (None, old):
        tasks = blocks(len(new), None if right is None else len(right), 1000, 8)
        assert len(tasks) > 3
        done = [run(pickle.loads(pickle.dumps(task)), new, right, 0.4) for task in reversed(tasks)]  # noqa: S301
        whole = self_join(new, 0.4) if right is None else cross_join(new, right, 0.4)
        assert listed(batch for part in done for batch in part) == pytest.approx(listed(whole), abs=1e-6)


def test_a_vector_that_is_not_a_number_hides_no_pair_of_others() -> None:
    vectors = unit(4, 30)
    vectors[7] = np.nan
    found = listed(self_join(vectors, 0.5)).keys()
    scores = cosines(vectors, vectors)
    assert found == {(a, b) for a, b in zip(*np.nonzero(np.triu(scores >= 0.5, 1)), strict=True)}
    assert len(found) > 10


def test_products_are_in_full_precision_and_the_choice_of_the_process_stays() -> None:
    torch, _ = cosine_scan.device()
    torch.set_float32_matmul_precision("medium")
    try:
        with cosine_scan.full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
        vectors = unit(5, 60, 512)
        check(listed(self_join(vectors, 0.3)), cosines(vectors, vectors), 0.3, np.triu(np.ones((60, 60), bool), 1))
    finally:
        torch.set_float32_matmul_precision("highest")


def test_vectors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length, not 8 and 9 numbers"):
        list(cross_join(unit(0, 3, 8), unit(0, 3, 9), 0.5))


def test_joining_nothing_finds_nothing() -> None:
    none, some = np.empty((0, 8), np.float32), unit(0, 3)
    assert list(self_join(none, 0.5)) == list(cross_join(none, some, -2)) == list(cross_join(some, none, -2)) == []
    assert list(self_join(some[:1], -2)) == []
    assert isinstance(next(self_join(some, -2)), CosinePairs)


@given(seed=SEEDS, count=st.integers(1, 40), k=st.integers(1, 50), block=st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_the_nearest_are_those_of_a_full_sort(seed: int, count: int, k: int, block: int) -> None:
    vectors, queries = unit(seed, count), unit(seed + 1, 3)
    found = nearest(queries, vectors, k, block)
    scores = cosines(queries, vectors)
    assert found.position.shape == found.score.shape == (3, min(k, count))
    assert np.allclose(found.score, -np.sort(-scores, axis=1)[:, :k], atol=1e-5)
    assert np.allclose(np.take_along_axis(scores, found.position, axis=1), found.score, atol=1e-5)
    assert all(len(set(row)) == len(row) for row in found.position.tolist()), "a vector was returned twice"


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_a_tie_goes_to_the_lower_position(block: int) -> None:
    vectors = np.eye(4, dtype=np.float32)[[1, 0, 0, 2, 0, 0]]
    rows = Recording(vectors)
    found = nearest(np.eye(4, dtype=np.float32)[:1], rows, 3, block)
    assert found.position.tolist() == [[1, 2, 4]]
    assert max(rows.asked) <= block


def test_searching_for_nothing_and_in_nothing_finds_nothing() -> None:
    none, some = np.empty((0, 8), np.float32), unit(0, 3)
    assert nearest(none, some, 2).position.shape == (0, 2)
    assert nearest(some, none, 2).position.shape == (3, 0)


def test_a_picture_counts_once_by_its_best_view() -> None:
    vectors = np.eye(3, dtype=np.float32)
    tilted = np.array([0.8, 0.6, 0], np.float32)
    (found,) = best_over_views(np.stack([tilted, vectors[1]])[None], vectors, 2)
    assert found.position.tolist() == [1, 0]
    assert found.view.tolist() == [1, 0]
    assert found.score.tolist() == pytest.approx([1, 0.8])


@given(seed=SEEDS, count=st.integers(1, 20), k=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_searching_over_views_equals_the_maximum_over_views(seed: int, count: int, k: int) -> None:
    vectors, views = unit(seed, count), unit(seed + 1, 6).reshape(2, 3, 8)
    for found, each in zip(best_over_views(views, vectors, k), views, strict=True):
        best = (each.astype(np.float64) @ vectors.T.astype(np.float64)).max(axis=0)
        assert len(set(found.position.tolist())) == len(found.position) == min(k, count)
        assert np.allclose(found.score, -np.sort(-best)[:k], atol=1e-5)
        assert np.allclose(best[found.position], found.score, atol=1e-5)
