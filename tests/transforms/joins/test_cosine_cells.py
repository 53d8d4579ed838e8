"""The join within cells: what it reports is true and reported once, and what it misses is measured."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from tests.transforms.joins.test_cosine_join import SEEDS, cosines, listed, unit
from transforms.joins.cosine import alike as alike_module
from transforms.joins.cosine import cell_pairs, join
from transforms.joins.cosine import cells as cosine_cells
from transforms.joins.cosine.alike import SketchTable, alike, likeness, pairs_alike
from transforms.joins.cosine.cells import Cells, cross_join, measured_recall, place, self_join
from transforms.joins.cosine.join import ArrayRows
from transforms.joins.cosine.sketches import sketch

MEMORIES = st.integers(64, 6000)


def resemble(new: np.ndarray, old: np.ndarray, threshold: float) -> np.ndarray:
    """Return of which pairs the sketches are alike, by the definition."""
    one, other = sketch(new), sketch(old)
    how = likeness(threshold, new.shape[1])
    return np.array([alike(np.broadcast_to(row, other.shape), other, how) for row in one])


def meet(new: np.ndarray, old: np.ndarray, cells: Cells, probes: int) -> np.ndarray:
    """Return which pairs meet, by the definition."""
    left, right = place(new, cells, probes).probes, place(old, cells, probes).probes
    visits = (left[:, None, :] == right[None, :, :1]).any(axis=2)
    visited = (right[None, :, :] == left[:, None, :1]).any(axis=2)
    return visits | visited


def clustered(seed: int, count: int, dimension: int = 32) -> np.ndarray:
    """Return unit vectors around centres, many of them with neighbours, some of those across a border of cells."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count // 40, dimension))
    drawn = centres[rng.integers(0, len(centres), count)] + 0.6 * rng.normal(size=(count, dimension))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@given(seed=SEEDS, count=st.integers(1, 60), cells=st.integers(1, 9), probes=st.integers(1, 4), memory=MEMORIES)
@example(seed=37, count=6, cells=6, probes=4, memory=64)  # two cells are equal
@settings(max_examples=30, deadline=None)
def test_exactly_the_pairs_that_meet_are_reported_once_whatever_the_memory(
    seed: int, count: int, cells: int, probes: int, memory: int
) -> None:
    vectors = unit(seed, count)
    known = Cells.fit(vectors, cells, 1, count)
    threshold = 0.30001
    scores, met = cosines(vectors, vectors), meet(vectors, vectors, known, probes)
    met &= resemble(vectors, vectors, threshold)
    found = listed(self_join(vectors, threshold, known, probes, memory))
    sure = {
        (a, b)
        for a, b in zip(*np.nonzero(np.triu((scores >= threshold) & met, 1)), strict=True)
        if scores[a, b] > threshold + 1e-5
    }
    assert sure <= found.keys()
    for (a, b), score in found.items():
        assert a < b
        assert met[a, b]
        assert score == pytest.approx(scores[a, b], abs=1e-5)
        assert score >= threshold - 1e-6


@given(seed=SEEDS, count=st.integers(2, 50), cut=st.floats(0, 1), probes=st.integers(1, 4), memory=MEMORIES)
@settings(max_examples=30, deadline=None)
def test_joining_new_rows_with_old_ones_makes_up_the_join_of_all(
    seed: int, count: int, cut: float, probes: int, memory: int
) -> None:
    vectors, old = unit(seed, count), int(cut * count)
    known, threshold = Cells.fit(vectors, 6, 1, count), 0.30001
    parts = listed(self_join(vectors[:old], threshold, known, probes, memory))
    new = listed(self_join(vectors[old:], threshold, known, probes, memory))
    across = listed(cross_join(vectors[old:], vectors[:old], threshold, known, probes, memory))
    parts |= {(a + old, b + old): s for (a, b), s in new.items()} | {(b, a + old): s for (a, b), s in across.items()}
    whole = listed(self_join(vectors, threshold, known, probes))
    assert {p for p, s in parts.items() if abs(s - threshold) > 1e-5} == {
        p for p, s in whole.items() if abs(s - threshold) > 1e-5
    }


def test_looking_in_all_cells_misses_only_what_is_not_alike() -> None:
    vectors = clustered(2, 800)
    known = Cells.fit(vectors, 20, 0, 800)
    exact = listed(join.self_join(vectors, 0.6))
    like = resemble(vectors, vectors, 0.6)
    found = listed(self_join(vectors, 0.6, known, 20))
    assert found.keys() == {pair for pair in exact if like[pair]}
    assert 0.99 * len(exact) < len(found)
    assert listed(self_join(vectors, 0.6, known, 1)).keys() < found.keys(), "one probe should miss some here"
    recall = measured_recall(vectors, 0.6, known, 20, 800, 0)
    assert (recall.found, recall.true) == (2 * len(found), 2 * len(exact))


@pytest.mark.parametrize(("dimension", "cosine"), [(512, 0.5), (512, 0.9), (64, 0.7), (256, 0.5)])
def test_nearly_all_pairs_at_the_threshold_are_alike_and_hardly_any_others(dimension: int, cosine: float) -> None:
    rng = np.random.default_rng(0)
    one, away = rng.standard_normal((2, 3000, dimension), dtype=np.float32)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    away -= (away * one).sum(axis=1, keepdims=True) * one
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    near = cosine * one + np.float32((1 - cosine**2) ** 0.5) * away
    how = likeness(cosine, dimension)
    assert alike(sketch(one), sketch(near), how).mean() > 0.975
    assert alike(sketch(one), sketch(away), how).mean() < (0.001 if dimension > 64 else 0.1)
    asked, other = pairs_alike(sketch(one[:50]), SketchTable.of(sketch(near)), (7, 45), how)
    each = np.array([alike(np.broadcast_to(row, (38, len(row))), sketch(near[7:45]), how) for row in sketch(one[:50])])
    assert sorted(zip(asked.tolist(), (other - 7).tolist(), strict=True)) == list(
        zip(*map(list, np.nonzero(each)), strict=True)
    )


def test_progress_is_told_up_to_the_whole() -> None:
    vectors, shares = clustered(2, 800), list[float]()
    known = Cells.fit(vectors, 20, 0, 800)
    list(self_join(vectors, 0.6, known, 2, progress=shares.append))
    list(cross_join(vectors[:400], vectors[400:], 0.6, known, 2, progress=shares.append))
    assert shares[0] == shares[-1] == 1
    assert all(0 < share <= 1 for share in shares)


def test_products_on_cuda_find_the_pairs_that_sketches_find(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(8, 600)
    known = Cells.fit(vectors, 15, 0, 600)

    def found() -> tuple[dict, dict]:
        across = cross_join(vectors[:200], vectors[200:], 0.5, known, 3, 20_000)
        return listed(self_join(vectors, 0.5, known, 3, 20_000)), listed(across)

    by_sketch = found()
    monkeypatch.setattr(cell_pairs, "device", lambda: (None, "cuda"))  # the way of CUDA, on the device that there is
    assert found() == by_sketch


@pytest.mark.parametrize("queries", [1, 1000])
def test_cells_are_compared_in_any_number_of_ranges(queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(8, 600)
    known = Cells.fit(vectors, 15, 0, 600)
    whole = listed(self_join(vectors, 0.5, known, 3))
    monkeypatch.setattr(cell_pairs, "_QUERIES", queries)
    monkeypatch.setattr(cell_pairs, "_PAIRS", queries)
    monkeypatch.setattr(alike_module, "_ROOM", 1)
    assert listed(self_join(vectors, 0.5, known, 3)) == whole


@pytest.mark.parametrize("sample", [150, 2000])
def test_the_measured_recall_is_that_of_brute_force(sample: int) -> None:
    vectors = clustered(3, 2000)
    known = Cells.fit(vectors, 40, 0, 1000)
    exact = listed(join.self_join(vectors, 0.5)).keys()
    found = listed(self_join(vectors, 0.5, known, 1)).keys()
    share = len(found) / len(exact)
    assert 0.8 < share < 0.97
    recall = measured_recall(vectors, 0.5, known, 1, sample, 1)
    assert recall.low <= share <= recall.high
    assert recall.low < recall.high
    if sample == 2000:  # every row is asked: each pair counts from both ends
        assert (recall.found, recall.true) == (2 * len(found), 2 * len(exact))
        assert recall.share == pytest.approx(share)


def test_the_interval_holds_the_recall_about_as_often_as_it_says() -> None:
    vectors = clustered(5, 1000)
    known = Cells.fit(vectors, 25, 0, 1000)
    share = measured_recall(vectors, 0.65, known, 1, 1000, 0).share
    measured = [measured_recall(vectors, 0.65, known, 1, 60, seed) for seed in range(100)]
    assert np.mean([m.low <= share <= m.high for m in measured]) >= 0.93
    assert np.mean([m.found for m in measured]) / np.mean([m.true for m in measured]) == pytest.approx(share, abs=0.03)


def test_the_recall_is_the_same_whatever_the_memory() -> None:
    vectors = unit(6, 300)
    known = Cells.fit(vectors, 12, 0, 300)
    assert len({measured_recall(vectors, 0.5001, known, 1, 50, 7, memory) for memory in (500, 8000, 2**30)}) == 1


def test_no_true_pair_says_nothing_of_the_recall() -> None:
    vectors = np.eye(5, dtype=np.float32)
    recall = measured_recall(vectors, 0.5, Cells(vectors[:2]), 1, 5, 0)
    assert (recall.found, recall.true, recall.share) == (0, 0, None)
    assert (recall.low, recall.high) == (0, 1)


def test_the_same_seed_gives_the_same_cells_and_the_same_recall() -> None:
    vectors = clustered(4, 1500)
    one, same, other = (Cells.fit(vectors, 30, seed, 700) for seed in (1, 1, 2))
    assert np.array_equal(one.centroids, same.centroids)
    assert not np.array_equal(one.centroids, other.centroids)
    assert np.allclose(np.linalg.norm(one.centroids, axis=1), 1, atol=1e-5)
    assert measured_recall(vectors, 0.6, one, 2, 90, 3) == measured_recall(vectors, 0.6, same, 2, 90, 3)


def test_rounds_of_k_means_draw_cells_nearer_to_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(7, 1500)
    fitted = Cells.fit(vectors, 30, 0, 1500)
    monkeypatch.setattr(cosine_cells, "_ROUNDS", 0)
    drawn = Cells.fit(vectors, 30, 0, 1500)
    near = [join.nearest(vectors, c.centroids, 1).score.mean() for c in (drawn, fitted)]
    assert near[1] > near[0] + 0.03


def test_more_cells_than_rows_and_equal_rows_are_no_trouble() -> None:
    vectors = np.repeat(unit(1, 3), 4, axis=0)
    known = Cells.fit(vectors, 100, 0, 100)
    assert known.centroids.shape == (12, 8)
    assert place(vectors, known, 50).probes.shape == (12, 12)
    pairs = {(a, b) for a in range(12) for b in range(a + 1, 12) if a // 4 == b // 4}
    assert listed(self_join(vectors, 0.9999, known, 1)).keys() >= pairs
    none = np.empty((0, 8), np.float32)
    assert list(self_join(none, 0, known, 2)) == list(cross_join(none, vectors, 0, known, 2)) == []
    assert list(cross_join(vectors, none, 0, known, 2)) == []


@pytest.mark.parametrize(("rows", "cells"), [(0, 3), (3, 0)])
def test_cells_of_nothing_are_refused(rows: int, cells: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Cells.fit(unit(0, 5)[:rows], cells, 0, 10)


class Counting(ArrayRows):
    """Rows that remember how many were had at once."""

    most = 0

    def read(self, start: int, stop: int) -> np.ndarray:
        Counting.most = max(Counting.most, stop - start)
        return super().read(start, stop)

    def take(self, positions: np.ndarray) -> np.ndarray:
        assert (np.diff(positions) > 0).all(), "positions ascend"
        Counting.most = max(Counting.most, len(positions))
        return super().take(positions)


def test_vectors_are_held_within_the_memory_even_if_all_lie_in_one_cell() -> None:
    rows, memory = Counting(unit(9, 500)), 3200
    known = Cells(rows.vectors[:1])
    found = listed(self_join(rows, 0.7, known, 1, memory))
    like = resemble(rows.vectors, rows.vectors, 0.7)
    assert found.keys() == {pair for pair in listed(join.self_join(rows.vectors, 0.7)) if like[pair]}
    assert Counting.most * 4 * rows.dimension <= memory // 2
