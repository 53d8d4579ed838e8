"""Scans find what comparing bit by bit finds, whatever the number of hashes, and sketches keep what is near."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from transforms.joins.cosine import sketches
from transforms.joins.hamming import scan
from transforms.joins.hamming.workers import Workers


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 5000])
def test_a_scan_finds_what_brute_force_finds(count: int) -> None:
    rng = np.random.default_rng(count)
    asked = rng.integers(0, 256, (8, 32), np.uint8)
    known = rng.integers(0, 256, (count, 32), np.uint8)
    for row in range(0, count, 3):  # some of them near to one that is asked for
        known[row] = asked[row % 8]
        for bit in rng.choice(256, row % 40, replace=False):
            known[row, bit // 8] ^= 1 << bit % 8
    bits = np.bitwise_count(known[:, None] ^ asked[None]).sum(axis=2).min(axis=1, initial=256)
    found = scan.find_near(scan.words(known), asked, 31)
    assert found.row.tolist() == np.flatnonzero(bits <= 31).tolist()
    assert found.distance.tolist() == bits[bits <= 31].tolist()
    with ThreadPoolExecutor(3) as pool:
        distance, counts = scan.least_distances(scan.words(known), asked, Workers(pool, 3))
    assert distance.tolist() == bits.tolist()
    assert counts.tolist() == np.bincount(bits, minlength=257).tolist()


@pytest.mark.parametrize("words", [4, 8, 16, 32])
def test_scans_of_any_width_tell_distances(words: int) -> None:
    rng = np.random.default_rng(words)
    everything = rng.integers(0, 2**32, (words, 1000), np.uint32)
    for count, asked_for in ((0, 1), (7, 2), (300, 1), (999, 7)):
        known, asked = everything[:, :count], rng.integers(0, 256, (asked_for, 4 * words), np.uint8)
        bits = np.bitwise_count(known[:, None] ^ asked.view(np.uint32).T[:, :, None]).sum(axis=0, dtype=np.int64)
        with ThreadPoolExecutor(2) as pool:
            distance, counts = scan.least_distances(known, asked, Workers(pool, 2))
            near = scan.nearest_rows(known, asked, 20, Workers(pool, 2))
        assert distance.tolist() == bits.min(axis=0).tolist()
        assert counts.tolist() == np.bincount(bits.min(axis=0), minlength=32 * words + 1).tolist()
        assert [np.sort(own[rows]).tolist() for own, rows in zip(bits, near, strict=True)] == [
            np.sort(own)[:20].tolist() for own in bits
        ]


def test_more_near_hashes_than_there_is_room_for_are_all_found() -> None:
    known = np.zeros((10_000, 32), np.uint8)
    found = scan.find_near(scan.words(known), known[:2], 31)
    assert found.row.tolist() == list(range(10_000))


def test_vectors_of_some_cosine_lie_within_its_radius() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((4000, 512)).astype(np.float32)
    other = rng.standard_normal((4000, 512)).astype(np.float32)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    other -= (other * base).sum(axis=1, keepdims=True) * base
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    for cosine in (0.3, 0.5, 0.9):
        near = (cosine * base + np.sqrt(1 - cosine**2) * other).astype(np.float32)
        bits = np.bitwise_count(sketches.sketch(base) ^ sketches.sketch(near)).sum(axis=1)
        assert (bits <= sketches.radius(cosine, 512)).mean() >= 0.999
        assert abs(bits.mean() / 512 - np.arccos(cosine) / np.pi) < 0.005
        scored = sketches.cosines(sketches.quantise(near[:99]), base[:99]).diagonal()
        assert np.abs(scored - cosine).max() < 0.005


def test_a_vector_of_zeros_is_near_to_nothing() -> None:
    codes = sketches.quantise(np.zeros((1, 8), np.float32))
    assert sketches.cosines(codes, np.eye(8, dtype=np.float32)).tolist() == [[0] * 8]
