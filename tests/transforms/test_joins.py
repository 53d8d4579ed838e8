"""Cosine joins, the brute Hamming join and searching over views, each against plain numpy."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms import hamming_join
from transforms.cosine_join import nearest, self_join
from transforms.search import best_of_others, best_over_views

SEEDS = st.integers(0, 2**32 - 1)


def unit(seed: int, count: int, dimension: int = 8) -> np.ndarray:
    """Return unit vectors, some of them close to or equal to others."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(max(1, count // 3), dimension))
    drawn = base[rng.integers(0, len(base), count)] + rng.choice([0, 0.1, 1], count)[:, None] * rng.normal(
        size=(count, dimension)
    )
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@given(seed=SEEDS, count=st.integers(1, 30), block=st.integers(4, 40), threshold=st.sampled_from([-0.2, 0.3, 0.9]))
@settings(max_examples=40, deadline=None)
def test_the_cosine_self_join_finds_exactly_the_pairs_above_the_threshold(
    seed: int, count: int, block: int, threshold: float
) -> None:
    vectors = unit(seed, count)
    found = [
        (int(a), int(b), float(c))
        for batch in self_join(vectors, threshold, block)
        for a, b, c in zip(*batch, strict=True)
    ]
    pairs = {(a, b) for a, b, _ in found}
    assert len(pairs) == len(found), "a pair was reported twice"
    scores = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    for a in range(count):
        for b in range(a + 1, count):
            if abs(scores[a, b] - threshold) > 1e-5:  # on the threshold, rounding decides
                assert ((a, b) in pairs) == (scores[a, b] > threshold)
    assert all(a < b and c == pytest.approx(scores[a, b], abs=1e-5) for a, b, c in found)


@given(seed=SEEDS, count=st.integers(1, 40), k=st.integers(1, 50), block=st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_the_nearest_are_those_of_a_full_sort(seed: int, count: int, k: int, block: int) -> None:
    vectors, queries = unit(seed, count), unit(seed + 1, 3)
    found = nearest(queries, vectors, k, block)
    scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    assert found.position.shape == found.score.shape == (3, min(k, count))
    assert np.allclose(found.score, -np.sort(-scores, axis=1)[:, :k], atol=1e-5)
    assert np.allclose(np.take_along_axis(scores, found.position, axis=1), found.score, atol=1e-5)
    assert all(len(set(row)) == len(row) for row in found.position.tolist()), "a vector was returned twice"


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_a_tie_goes_to_the_lower_position(block: int) -> None:
    vectors = np.eye(4, dtype=np.float32)[[1, 0, 0, 2, 0, 0]]
    found = nearest(np.eye(4, dtype=np.float32)[:1], vectors, 3, block)
    assert found.position.tolist() == [[1, 2, 4]]


def test_searching_for_nothing_and_in_nothing_finds_nothing() -> None:
    none, some = np.empty((0, 8), np.float32), unit(0, 3)
    assert nearest(none, some, 2).position.shape == (0, 2)
    assert nearest(some, none, 2).position.shape == (3, 0)
    assert [len(left) for left, _, _ in self_join(none, 0.5)] == []


@given(seed=SEEDS, radius=st.integers(0, 256), sizes=st.tuples(st.integers(0, 12), st.integers(0, 30)))
@settings(max_examples=40, deadline=None)
def test_the_hamming_cross_join_agrees_with_brute_force(seed: int, radius: int, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    queries, hashes = (rng.integers(0, 256, (n, 32), dtype=np.uint8) for n in sizes)
    if all(sizes):
        hashes[0] = queries[0]  # at least one pair within any radius
    distance = (np.unpackbits(queries, axis=1)[:, None] != np.unpackbits(hashes, axis=1)[None]).sum(axis=2)
    found = hamming_join.cross_join(queries, hashes, radius)
    triples = list(zip(found.left.tolist(), found.right.tolist(), found.distance.tolist(), strict=True))
    near = zip(*np.nonzero(distance <= radius), strict=True)
    # a distance is one byte: 256 differing bits do not fit
    assert triples == [(int(a), int(b), int(distance[a, b]) % 256) for a, b in near]


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


def test_the_best_of_others_is_never_the_picture_itself() -> None:
    vectors = unit(3, 12)
    own = np.arange(12)
    for position, found in zip(own, best_of_others(vectors[:, None], own, vectors), strict=True):
        scores = vectors @ vectors[position]
        scores[position] = -2
        assert position not in found.position
        assert found.score.tolist() == pytest.approx([scores.max()], abs=1e-5)
