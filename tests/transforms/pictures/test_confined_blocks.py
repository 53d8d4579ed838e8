"""Memory that is used again: never while anything refers to it, and no more of it is kept than is said."""

import gc

import numpy as np

from transforms.pictures.confined import blocks
from transforms.pictures.confined.blocks import Blocks


def place(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_a_block_is_used_again_once_nothing_refers_to_it() -> None:
    made = Blocks()
    first = made.array((2, 300, 300, 3))
    first[...] = 7
    before, view = place(first), first[1, :200]
    kept = memoryview(first[1].reshape(-1))
    del first
    assert place(made.array((2, 300, 300, 3))) != before
    del view
    gc.collect()
    other = made.array((2, 300, 300, 3))
    assert place(other) != before
    other[...] = 9
    assert np.asarray(kept).tolist() == [7] * (300 * 300 * 3)
    del kept
    assert place(made.array((1, 600, 300, 3))) == before, "another shape of the same bytes"


def test_little_is_kept() -> None:
    made = Blocks()
    some = [made.array((8 << 20,)) for _ in range(12)]
    assert [each.shape for each in some] == [(8 << 20,)] * 12
    del some
    assert made._bytes == blocks._KEPT == sum(len(each) for free in made._free.values() for each in free)
    assert made.array((10, 10, 3)).base is None, "a small array is none of its business"
