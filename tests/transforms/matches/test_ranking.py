"""The nearest of each group, held against sorting all rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.matches.ranking import best_of_groups, cosines


@given(st.integers(0, 400), st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_best_of_each_group_are_those_of_a_sort_also_among_ties(n: int, groups: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-5, 6, n).astype(np.float32) / 5
    scores[rng.random(n) < 0.1] = -np.inf
    of = rng.integers(0, groups, n).astype(np.uint64)
    expected: dict[int, int] = {}
    for row in sorted(range(n), key=lambda row: (-scores[row], row)):
        if scores[row] > -np.inf:
            expected.setdefault(int(of[row]), row)
    assert best_of_groups(scores, of, k).tolist() == list(expected.values())[:k]


@pytest.mark.parametrize("block", [7, 100, 65_536])
def test_cosines_do_not_depend_on_how_vectors_are_read(block: int) -> None:
    vectors = np.random.default_rng(1).standard_normal((100, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(cosines(vectors[3], vectors, block), vectors @ vectors[3], atol=1e-6)
