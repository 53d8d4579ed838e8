"""The interval of a measured share: SciPy's for whole numbers, and never without the share itself."""

import hypothesis.strategies as st
import pytest
from hypothesis import given
from scipy.stats import binomtest

from transforms.intervals import wilson


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_it_is_that_of_scipy(found: tuple[int, int]) -> None:
    hits, trials = found
    theirs = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits / trials, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


@given(st.floats(0, 1), st.floats(0.01, 1e9))
def test_it_holds_the_share(share: float, trials: float) -> None:
    low, high = wilson(share, trials)
    assert 0 <= low <= share <= high <= 1
