"""The formulas of the memorization literature against direct computation."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from transforms.provenance import memorization

SMALL = hnp.arrays(np.uint8, (4, 4, 3))


def drawn(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def direct(a: np.ndarray, b: np.ndarray) -> float:
    """Return the tiled distance as the paper states it, tile by tile."""
    return max(
        float(np.sqrt(np.mean((a[r : r + 128, c : c + 128] / 255.0 - b[r : r + 128, c : c + 128] / 255.0) ** 2)))
        for r in range(0, 512, 128)
        for c in range(0, 512, 128)
    )


@given(SMALL, SMALL)
def test_l2_is_the_root_of_the_mean_square(a: np.ndarray, b: np.ndarray) -> None:
    said = float(np.linalg.norm(a / 255.0 - b / 255.0) / np.sqrt(a.size))
    assert memorization.l2(a, b) == pytest.approx(said, abs=1e-12)
    assert memorization.l2(a / 255.0, b / 255.0) == pytest.approx(said, abs=1e-12)
    assert memorization.l2(a, a) == 0


def test_pictures_of_two_sizes_have_no_l2() -> None:
    with pytest.raises(ValueError, match="bring them to one size"):
        memorization.l2(drawn(0, 4, 4), drawn(0, 4, 5))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_the_tiled_distance_is_that_of_the_worst_tile(seed: int) -> None:
    a, b = drawn(seed, 512, 512), drawn(seed + 1, 512, 512)
    b[:128] = a[:128]
    assert memorization.tile_l2(a, b) == pytest.approx(direct(a, b), abs=1e-12)
    assert memorization.tile_l2(a, a) == 0
    c = a.copy()
    c[128:256, 256:384] = 255 - c[128:256, 256:384]
    assert memorization.tile_l2(a, c) == pytest.approx(memorization.l2(a, c) * 4, abs=1e-12)  # one tile of sixteen


def test_many_pictures_at_once_are_measured_as_two_are() -> None:
    pictures = [drawn(seed, 60 + seed, 90) for seed in range(5)] * 7  # more than a block of them
    pictures[6] = (pictures[1] // 2 + 60).astype(np.uint8)
    found = memorization.tile_distances([memorization.tiles(each) for each in pictures])
    assert found.shape == (35, 35) and (found == found.T).all() and (np.diag(found) == 0).all()
    for a, b in [(0, 1), (1, 6), (6, 33), (0, 5), (34, 2)]:
        grown = [cv2.resize(pictures[p], (512, 512), interpolation=cv2.INTER_LINEAR) for p in (a, b)]
        assert found[a, b] == pytest.approx(direct(*grown), abs=1e-12)


def test_a_distance_at_the_threshold_is_not_rounded_over_it() -> None:
    a = np.zeros((512, 512, 3), np.uint8)
    b = np.full((512, 512, 3), 51, np.uint8)  # 51 / 255 is 0.2
    assert memorization.tile_l2(a, b) <= 0.2
    b[0, 0, 0] = 52
    assert memorization.tile_l2(a, b) > 0.2


def test_floats_are_measured_as_bytes_are() -> None:
    a, b = drawn(1, 512, 512), drawn(2, 512, 512)
    floats = [(each / 255.0).astype(np.float32) for each in (a, b)]
    assert memorization.tile_l2(*floats) == pytest.approx(memorization.tile_l2(a, b), abs=1e-6)


def test_no_pictures_have_no_distances() -> None:
    assert memorization.tile_distances([]).shape == (0, 0)


@given(hnp.arrays(np.uint8, (6, 32, 32, 3)), st.floats(0.1, 1))
@settings(max_examples=10, deadline=None)
def test_the_small_image_ratio_is_the_formula(pictures: np.ndarray, alpha: float) -> None:
    generation, source, neighbours = pictures[0], pictures[1], pictures[1:]
    mean = sum(memorization.l2(generation, each) for each in neighbours) / 5
    found = memorization.small_image_ratio(generation, source, neighbours, alpha)
    if mean:
        assert found == pytest.approx(memorization.l2(generation, source) / (alpha * mean))
    else:
        assert found is None
    assert memorization.small_image_ratio(generation, source, neighbours[:0]) is None


def test_the_template_measure_is_the_error_inside_the_mask() -> None:
    a, b = drawn(1, 64, 64), drawn(2, 64, 64)
    mask = memorization.box_mask(0.25, 0, 0.5, 0.75, side=64)
    assert mask.sum() == 32 * 48 and mask[0, 16] and not mask[0, 15] and not mask[48, 16]
    assert memorization.template_mse(a, b, mask) == pytest.approx(memorization.l2(a[:48, 16:48], b[:48, 16:48]) ** 2)
    everything = memorization.box_mask(0, 0, 1, 1, side=64)
    assert memorization.template_mse(a, b, everything) == pytest.approx(memorization.l2(a, b) ** 2)
    assert memorization.template_mse(a, b, np.zeros((64, 64))) is None


def test_an_outlier_is_far_from_its_neighbours() -> None:
    found = memorization.outlier_scores(np.array([[1, 1, 1], [0.5, 0.25, 0.0], [-1, -1, -1]], np.float32))
    assert found.tolist() == [0, 0.75, 2]
