"""Equal rows share a group, in order of appearance; what the table's secret keys are makes no difference."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms.hashing import grouping
from transforms.hashing.grouping import collapse


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 200), width=st.integers(0, 40), kinds=st.integers(1, 50))
@settings(max_examples=80, deadline=None)
def test_groups_are_the_different_rows_in_order_of_appearance(seed: int, count: int, width: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (kinds, width), dtype=np.uint8)[rng.integers(0, kinds, count)]
    number: dict[bytes, int] = {}
    expected = [number.setdefault(row.tobytes(), len(number)) for row in values]
    found = collapse(values)
    assert found.group.tolist() == expected
    assert found.first.tolist() == [expected.index(group) for group in range(len(number))]


@pytest.mark.parametrize("width", [1, 4, 7, 32])
def test_a_byte_apart_is_another_group(width: int) -> None:
    values = np.zeros((2 * width + 1, width), np.uint8)
    for byte in range(width):
        values[1 + byte, byte], values[1 + width + byte, byte] = 1, 128
    assert len(collapse(values)) == len(values)


def test_rows_that_share_a_slot_and_a_tag_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping.secrets, "token_bytes", bytes)  # with keys of 0 all rows have one hash
    values = np.random.default_rng(0).integers(0, 256, (300, 32), dtype=np.uint8)
    found = collapse(values[np.arange(900) % 300])
    assert found.group.tolist() == [*range(300)] * 3
    assert found.first.tolist() == [*range(300)]


@pytest.mark.parametrize(
    "values", [np.zeros((4, 8), np.uint8)[:, ::2], np.zeros((4, 8), np.int8), np.zeros(4, np.uint8)]
)
def test_what_cannot_be_compared_byte_by_byte_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        collapse(values)
