"""What NumPy does where Numba is not installed is what the compiled loops do."""

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest
from conftest import encoded, picture

from transforms.guard.deltas import chunks, cut_kernels
from transforms.guard.hash_index import blocks, kernels
from transforms.guard.hash_index.blocks import BlockArrays
from transforms.hashing import pdq_kernels, pdq_scaling
from transforms.joins.cosine import sketch_kernels
from transforms.joins.hamming import kernels as scan_kernels
from transforms.joins.hamming import scan
from transforms.joins.hamming.workers import Workers
from transforms.pictures import decode
from transforms.uncompiled import cuts, halves, scaling, scans, turns

_COUNT = 3_000


def hashes(bytes_: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return known hashes, word by word, and eight to look for, of which some are near."""
    rng = np.random.default_rng(7)
    known, asked = rng.integers(0, 256, (_COUNT, bytes_), np.uint8), rng.integers(0, 256, (8, bytes_), np.uint8)
    known[2_000:] = asked[1]
    for row in range(1_000, _COUNT):
        known[row] = known[row] if row >= 2_000 else asked[row % 8]
        for bit in rng.choice(256, row % 36, replace=False):
            known[row, bit // 8] ^= 1 << bit % 8
    return scan.words(known), asked


@pytest.mark.parametrize("loops", [scan_kernels, scans])
def test_scans_find_the_nearest(loops: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "loops", loops)
    known, asked = hashes()
    bits = np.bitwise_count(known[:, None] ^ asked.view(np.uint32).T[:, :, None]).sum(axis=0, dtype=np.int64)
    found = scan.find_near(known, asked, 31)
    assert found.row.tolist() == np.flatnonzero(bits.min(axis=0) <= 31).tolist()
    assert found.distance.tolist() == bits.min(axis=0)[found.row].tolist()
    with ThreadPoolExecutor(2) as pool:
        distance, counts = scan.least_distances(known, asked, Workers(pool, 2))
        near = scan.nearest_rows(known, asked, 50, Workers(pool, 2))
        few = scan.nearest_rows(known[:, :40], asked, 50, Workers(pool, 2))
    assert distance.tolist() == bits.min(axis=0).tolist() and counts.sum() == _COUNT
    assert [rows.tolist() for rows in few] == [list(range(40))] * 8
    for own, rows in zip(bits, near, strict=True):
        assert len(set(rows.tolist())) == len(rows) == 50
        assert np.sort(own[rows]).tolist() == np.sort(own)[:50].tolist()


def test_an_index_is_looked_up_alike() -> None:
    words, asked = hashes()
    arrays = BlockArrays(*map(np.stack, zip(*[blocks.build(word) for word in words], strict=True)))
    queries, found = asked.view(np.uint32), []
    for loops in (kernels, halves):
        row, distance = np.empty(200_000, np.int64), np.empty(200_000, np.int64)
        count = loops.look_up(words, *arrays, queries, 31, row, distance)
        assert 0 < count <= len(row)
        near = scan.nearest_of_each(row[:count], distance[:count])
        found.append((near.row.tolist(), near.distance.tolist(), loops.seen(queries, *arrays[:2])))
        own = [each[0] for each in arrays]
        assert loops.fits(words[0], *own)
        for name in ("lower", "upper", "rows"):
            other = BlockArrays(*own)._replace(**{name: own[arrays._fields.index(name)][::-1].copy()})
            assert not loops.fits(words[0], *other), name
    true = scan.find_near(words, asked, 31)
    assert found[0] == found[1] and found[0][0] == true.row.tolist() and len(true.row) > 1_000
    assert halves.look_up(words, *arrays, queries, 31, row[:5], distance[:5]) >= len(true.row)


@pytest.mark.parametrize("size", [(65, 700), (128, 128), (300, 517), (1024, 400)])
def test_a_picture_is_scaled_alike(size: tuple[int, int]) -> None:
    shown = decode(encoded(picture(3, *size)), 10**7)
    small = [np.empty((64, 64, 3), np.uint8) for _ in range(2)]
    pdq_kernels.scale_into(shown, pdq_scaling._colours(), small[0])
    scaling.scale_into(shown, pdq_scaling._colours(), small[1])
    assert (small[0] == small[1]).all()


def test_vectors_are_turned_and_multiplied_alike() -> None:
    rng = np.random.default_rng(2)
    rows, flips = rng.standard_normal((5, 256)).astype(np.float32), rng.integers(0, 2, (3, 256)) == 1
    turned = [rows.copy(), rows.copy()]
    sketch_kernels.turn(turned[0], flips)
    turns.turn(turned[1], flips)
    assert (turned[0] == turned[1]).all()
    codes = rng.integers(-127, 128, (9, 256)).astype(np.int8)
    for left in (rows, codes):
        assert np.allclose(sketch_kernels.products(left, rows), turns.products(left, rows), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 9_000, 2_100_000])
def test_files_are_cut_alike(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    data[: size // 3] = 0  # without a cut of its own
    rule = chunks._LEAST, chunks._MOST, chunks._BITS
    assert cut_kernels.ends(data, chunks._GEAR, *rule).tolist() == cuts.ends(data, chunks._GEAR, *rule).tolist()
