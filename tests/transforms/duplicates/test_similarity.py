"""The least cosine of a cluster: exact where it says so, never above the truth where it does not."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms.duplicates import similarity
from transforms.duplicates.similarity import least_similarity


def cluster(seed: int, count: int, spread: float) -> np.ndarray:
    """Return unit vectors around the first."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=16) + spread * rng.normal(size=(count, 16)) * rng.random((count, 1))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


CLUSTERS = st.builds(cluster, st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([0, 1e-3, 0.1, 1, 9]))


def truth(vectors: np.ndarray) -> float:
    scores = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    return float(scores[np.triu_indices(len(vectors), 1)].min())


@given(vectors=CLUSTERS)
@settings(max_examples=60, deadline=None)
def test_a_small_cluster_is_compared_pair_by_pair(vectors: np.ndarray) -> None:
    found = least_similarity(vectors)
    assert found.exact
    assert found.similarity == pytest.approx(truth(vectors), abs=1e-5)
    assert found.similarity <= 1


@given(vectors=CLUSTERS)
@settings(max_examples=100, deadline=None)
def test_a_large_cluster_is_bounded_from_its_representative(vectors: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "EXACT_MEMBERS", 1)
        patch.setattr(similarity, "_BLOCK", 7)
        found = least_similarity(vectors)
    assert not found.exact
    assert -1 <= found.similarity <= truth(vectors) + 1e-6


def test_the_bound_is_met_where_two_members_lie_on_opposite_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "EXACT_MEMBERS", 2)
    angles = np.radians([0, 20, -30])
    fan = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert least_similarity(fan).similarity == pytest.approx(np.cos(np.radians(50)), abs=1e-6)
    assert least_similarity(fan[[0, 1, 1]]).similarity == pytest.approx(np.cos(np.radians(40)), abs=1e-6)
    assert least_similarity(np.concatenate([fan, -fan])).similarity == pytest.approx(-1)


def test_one_member_is_like_itself_and_none_is_refused() -> None:
    assert least_similarity(cluster(1, 1, 1)) == similarity.LeastSimilarity(1.0, exact=True)
    for wrong in np.empty((0, 4), np.float32), np.ones(4, np.float32):
        with pytest.raises(ValueError, match="must have shape"):
            least_similarity(wrong)
