"""p-values: in range, monotone, continuous, uniform under the null; the tail as SciPy has it; a stable sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transforms.fingerprints.distinct_pictures import DistinctPictures
from transforms.matches import null_distribution
from transforms.matches.search import SearchHits

NUMBERS = st.lists(st.floats(-1, 1, width=32), max_size=120)


@given(NUMBERS, st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30), st.sampled_from([0.5, 0.8, 0.9]))
def test_p_values_are_in_range_and_never_rise_with_the_score(
    scores: list[float], asked: list[float], quantile: float
) -> None:
    p = null_distribution.fit(scores, quantile).p_values(np.sort(asked))
    assert ((p > 0) & (p <= 1)).all()
    assert (np.diff(p) <= 0).all()


@given(st.integers(0, 10_000), st.sampled_from([30, 100, 300]))
def test_nothing_jumps_at_the_threshold(seed: int, count: int) -> None:
    null = null_distribution.fit(np.random.default_rng(seed).beta(3, 5, count), 0.7)
    assert null.tail is not None and null.tail.shape >= 0
    before, at, after = null.p_values(null.tail.threshold + np.array([-1e-12, 0, 1e-9]))
    assert before - at <= 1.001 / (1 + count), "no more than the step of one picture, where the threshold is one"
    assert at - after < 1e-6


@pytest.mark.parametrize("shape", [0.0, 0.1, 0.25])
def test_the_tail_has_the_parameters_that_it_was_drawn_with(shape: float) -> None:
    drawn = stats.genpareto.rvs(shape, scale=0.07, size=4_000, random_state=3)
    found, scale = null_distribution.pareto(drawn)
    by_likelihood, _, other_scale = stats.genpareto.fit(drawn, floc=0)
    assert found == pytest.approx(shape, abs=0.06) and scale == pytest.approx(0.07, rel=0.06)
    assert found == pytest.approx(by_likelihood, abs=0.05) and scale == pytest.approx(other_scale, rel=0.05)


def test_beyond_the_threshold_p_values_are_those_of_the_tail() -> None:
    null = null_distribution.fit(np.random.default_rng(4).exponential(0.1, 400), 0.9)
    assert null.tail is not None
    asked = null.tail.threshold + np.linspace(0.001, 0.8, 40)
    rest = stats.genpareto.sf(asked - null.tail.threshold, null.tail.shape, scale=null.tail.scale)
    assert null.p_values(asked) == pytest.approx(null.p_values(null.tail.threshold) * rest)


def test_p_values_are_uniform_for_pictures_that_are_no_copies() -> None:
    rng = np.random.default_rng(5)
    p = np.concatenate(
        [null_distribution.fit(rng.beta(4, 6, 200), 0.9).p_values(rng.beta(4, 6, 100)) for _ in range(60)]
    )
    for level in (0.01, 0.05, 0.1, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, rel=0.25, abs=0.003)
    assert null_distribution.uniformity(p)[0] < 0.03
    assert np.mean(null_distribution.cross_fit(rng.beta(4, 6, 3_000), 0.9) <= 0.05) == pytest.approx(0.05, abs=0.015)


def test_few_pictures_are_not_extrapolated() -> None:
    assert null_distribution.fit([], 0.9).p_values([0.9]).tolist() == [1.0]
    assert null_distribution.fit([0.4], 0.9).p_values([0.3, 0.9]).tolist() == [1.0, 0.5]
    assert null_distribution.fit(np.linspace(0, 1, 19), 0.9).tail is None
    assert null_distribution.fit(np.full(100, 0.3), 0.9).tail is None, "nothing lies above the threshold"
    assert null_distribution.cross_fit([], 0.9).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=20, max_size=60))
def test_the_distance_from_uniform_is_scipys(p: list[float]) -> None:
    distance, sure = null_distribution.uniformity(np.array(p))
    known = stats.kstest(p, "uniform", method="asymp" if len(p) > 30 else "auto")
    assert distance == pytest.approx(known.statistic)
    assert sure == pytest.approx(known.pvalue, abs=0.06)


def test_growth_changes_only_what_new_pictures_push_out() -> None:
    digests = np.random.default_rng(6).integers(0, 256, (1_000, 32), np.uint8)
    before, after = smallest(digests[:900], 100), smallest(digests, 100)
    old = {each.tobytes() for each in digests[:900]}
    assert {each for each in after if each in old} <= set(before)
    assert 80 <= len(set(before) & set(after)) < 100
    assert after == sorted(each.tobytes() for each in digests)[:100]
    assert len(smallest(digests[:3], 100)) == 3


def smallest(digests: np.ndarray, count: int) -> list[bytes]:
    """Return the digests of a sample of these pictures, each a cluster of its own."""
    ordered = np.array(sorted(digests.tolist()), np.uint8)
    everyone = np.arange(len(digests))
    pictures = DistinctPictures(everyone.astype(np.uint64), ordered, everyone, everyone >= 0, ordered)
    return [each.tobytes() for each in ordered[pictures.sample(count)]]


def test_what_a_picture_shares_with_others_is_taken_off() -> None:
    found = SearchHits(np.array([4, 7]), np.array([0.6, 0.5], np.float32), np.zeros(2, np.int64))
    background = SearchHits(
        np.array([4, 2, 9, 5, 7]), np.array([0.6, 0.3, 0.2, 0.1, 0.0], np.float32), np.zeros(5, np.int64)
    )
    best = null_distribution.strongest(found, background)
    assert (best.position, best.normalised) == (4, pytest.approx(0.4)), "the match itself is not its background"
    other = null_distribution.strongest(found, background, own=4)
    assert (other.position, other.normalised) == (7, pytest.approx(0.3))
    nothing = SearchHits(np.array([], np.int64), np.array([], np.float32), np.array([], np.int64))
    assert null_distribution.strongest(nothing, nothing).position is None
    assert null_distribution.background_mean(nothing, []) == 0
