"""The join is exact: it agrees with brute force on hashes built to sit on both sides of every radius."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms.hamming_join import MAX_RADIUS, self_join


def brute_force(hashes: np.ndarray, radius: int) -> set[tuple[int, int, int]]:
    bits = np.unpackbits(hashes, axis=1)
    distance = (bits[:, None, :] != bits[None, :, :]).sum(axis=2)
    return {(i, j, int(distance[i, j])) for i, j in zip(*np.nonzero(np.triu(distance <= radius, k=1)), strict=True)}


def flipped(hash_: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros(256, np.uint8)
    mask[rng.choice(256, bits, replace=False)] = 1
    return hash_ ^ np.packbits(mask)


@given(seed=st.integers(0, 2**32 - 1), radius=st.integers(0, MAX_RADIUS))
@settings(max_examples=50, deadline=None)
def test_agrees_with_brute_force(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    seeds = rng.integers(0, 256, (40, 32), dtype=np.uint8)
    near = [flipped(seeds[i % 40], int(rng.integers(1, 2 * MAX_RADIUS)), rng) for i in range(80)]
    hashes = np.unique(np.vstack([seeds, near]), axis=0)
    found = [
        (int(a), int(b), int(d))
        for p in self_join(hashes, radius)
        for a, b, d in zip(p.left, p.right, p.distance, strict=True)
    ]
    assert len(found) == len(set(found)), "a pair was reported twice"
    assert set(found) == brute_force(hashes, radius)


def test_a_radius_that_the_bands_cannot_guarantee_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 31"):
        next(self_join(np.zeros((1, 32), np.uint8), 32))
