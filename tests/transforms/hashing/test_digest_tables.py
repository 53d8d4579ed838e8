"""Equal digests share a first one and are found again; the tables' secret keys and the memory make no difference."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from transforms.hashing import digest_tables
from transforms.hashing.digest_arrays import BYTES, PickedDigests
from transforms.hashing.digest_tables import Lookup, count_leaders, firsts, leaders

SEEDS = st.integers(0, 2**32 - 1)


def digests(count: int, kinds: int, seed: int) -> np.ndarray:
    """Return digests of which many are equal, and different ones differ in few bytes."""
    rng = np.random.default_rng(seed)
    made = np.zeros((kinds, BYTES), np.uint8)
    made[:, rng.integers(0, BYTES, 2)] = rng.integers(0, 9, (kinds, 2))
    return made[rng.integers(0, kinds, count)]


def expected(values: np.ndarray) -> list[int]:
    first: dict[bytes, int] = {}
    return [first.setdefault(row.tobytes(), number) for number, row in enumerate(values)]


@given(seed=SEEDS, count=st.integers(0, 200), kinds=st.integers(1, 60), room=st.sampled_from([8, 64, 4096]))
@settings(max_examples=60, deadline=None)
def test_equal_digests_share_their_first_one_within_any_memory(seed: int, count: int, kinds: int, room: int) -> None:
    values = digests(count, kinds, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_tables, "_CHUNK", room)  # the least room is that of a chunk
        found = firsts(values, 0)
    assert found.tolist() == expected(values)
    heads = leaders(found, np.empty(count_leaders(found), np.uint32))
    assert heads.tolist() == sorted(set(expected(values)))


def test_a_byte_apart_is_another_digest() -> None:
    values = np.zeros((2 * BYTES + 1, BYTES), np.uint8)
    for byte in range(BYTES):
        values[1 + byte, byte], values[1 + BYTES + byte, byte] = 1, 128
    assert firsts(values, 10_000).tolist() == list(range(len(values)))
    assert Lookup(values).find(values[::-1])[0].tolist() == list(range(len(values)))[::-1]


def test_digests_of_one_place_and_tag_are_told_apart_whatever_part_they_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_tables.secrets, "token_bytes", bytes)  # with keys of 0 all have one hash
    monkeypatch.setattr(digest_tables, "_CHUNK", 16)  # and all lie in the first of many parts
    values = np.random.default_rng(0).integers(0, 256, (300, BYTES), dtype=np.uint8)
    assert firsts(values[np.arange(900) % 300], 0).tolist() == [*range(300)] * 3
    position, found = Lookup(values).find(values[::-1])
    assert found.all() and position.tolist() == [*range(300)][::-1]


@given(seed=SEEDS, count=st.integers(0, 80), kinds=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_digests_are_found_in_a_set_that_is_picked_from_others(seed: int, count: int, kinds: int) -> None:
    values = digests(count, kinds, seed)
    first = firsts(values, 10_000)
    heads = leaders(first, np.empty(count_leaders(first), np.uint32))
    chosen = heads[::-2].copy()
    known = {values[head].tobytes(): number for number, head in enumerate(chosen)}
    for digest_set in (PickedDigests(values, chosen), values[chosen]):
        position, found = Lookup(digest_set).find(values)
        assert [int(p) if f else None for p, f in zip(position, found, strict=True)] == [
            known.get(row.tobytes()) for row in values
        ]


@pytest.mark.parametrize(
    "values", [np.zeros((4, BYTES), np.int8), np.zeros((4, 8), np.uint8), np.zeros(BYTES, np.uint8)]
)
def test_what_is_no_digest_is_refused(values: np.ndarray) -> None:
    for reader in (lambda: firsts(values, 10_000), lambda: Lookup(values)):
        with pytest.raises(ValueError, match=r"uint8 of shape \(n, 32\)"):
            reader()
