"""The index of hashes finds what a scan finds, however the bits are spread and however alike the hashes are."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import bundles
import numpy as np
import pytest
from conftest import encoded, picture
from test_hostile_bundles import array, manifest, seal

from transforms.guard import Bundle, BundleError, Guard
from transforms.guard.hash_index import blocks
from transforms.guard.hash_index.blocks import BlockArrays, HashIndex
from transforms.joins.hamming import scan

_KNOWN, _ALIKE = 3_000, 6_000


def indexed(hashes: np.ndarray) -> HashIndex:
    words = scan.words(hashes)
    parts = [blocks.build(word) for word in words]
    arrays = BlockArrays(*map(np.stack, zip(*parts, strict=True)))
    blocks.require(words, arrays)
    return HashIndex(words, arrays)


@pytest.fixture(scope="module")
def index() -> HashIndex:
    rng = np.random.default_rng(3)
    known = rng.integers(0, 256, (_KNOWN + _ALIKE, 32), np.uint8)
    known[_KNOWN:] = known[0]
    known[_KNOWN:, 5] = rng.integers(0, 256, _ALIKE)  # one picture in thousands of near copies
    return indexed(known)


def spreads() -> Iterator[list[int]]:
    """Yield how many bits of each block differ, 31 in all: as even as can be, and as uneven, from every block on."""
    for start in range(8):
        for spread in ([3] + [4] * 7, [31] + [0] * 7, [0] * 7 + [31], [8, 8, 8, 7, 0, 0, 0, 0], [1, 6] * 4):
            yield list(np.roll(spread, start))[:8]


@pytest.mark.parametrize("rows", [2, pytest.param(20, marks=pytest.mark.thorough)])
def test_no_spread_of_31_bits_over_the_blocks_is_missed(
    index: HashIndex, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(blocks, "index_seconds", lambda *_: 0.0)
    rng, known = np.random.default_rng(4), np.ascontiguousarray(index.words.T).view(np.uint8)
    missed = 0
    for spread in spreads():
        for row in rng.integers(1, _KNOWN, rows):
            bits = np.unpackbits(known[row], bitorder="little").reshape(8, 32)
            for block, count in enumerate(spread):
                bits[block, rng.choice(32, count, replace=False)] ^= 1
            asked = np.packbits(bits.reshape(1, 256), axis=1, bitorder="little")
            near = index.find_near(asked, 31)
            missed += row not in near.row.tolist()
            expected = sum(spread)
            assert near.distance[near.row == row].tolist() == [expected]
    assert missed == 0


def test_thousands_of_near_copies_are_all_found(index: HashIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "index_seconds", lambda *_: 0.0)
    rng, known = np.random.default_rng(5), np.ascontiguousarray(index.words.T).view(np.uint8)
    asked = rng.integers(0, 256, (8, 32), np.uint8)
    asked[3] = known[_KNOWN + 7]
    asked[5] = known[17] ^ np.uint8(1)  # one bit of each byte: 32, one too many
    found, true = index.find_near(asked, 31), scan.find_near(index.words, asked, 31)
    assert len(true.row) > _ALIKE
    assert found.row.tolist() == true.row.tolist()
    assert found.distance.tolist() == true.distance.tolist()


def test_a_look_up_goes_the_quicker_way(index: HashIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    assert blocks.pays(10_000_000) and blocks.pays(1_000_000) and not blocks.pays(20_000) and not blocks.pays(3)
    assert (blocks.row_bytes(1 << 24), blocks.row_bytes((1 << 24) + 1)) == (3, 4)
    scanned: list[int] = []
    monkeypatch.setattr(scan, "find_near", lambda words, asked, radius: scanned.append(radius))
    asked = np.ascontiguousarray(index.words[:, :1].T).view(np.uint8)
    index.find_near(asked, 31)  # few hashes, and most of them alike: a scan is cheaper
    assert scanned == [31]
    monkeypatch.setattr(blocks, "index_seconds", lambda *_: 0.0)
    index.find_near(asked, 31)
    assert scanned == [31]
    index.find_near(asked, 32)  # which the index would miss
    assert scanned == [31, 32]


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return [encoded(picture(seed, 128, 96)) for seed in range(blocks.LEAST)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, files: list[bytes]) -> Path:
    return bundles.write(tmp_path_factory.mktemp("index") / "bundle", files, indexed=True)


def test_a_bundle_with_an_index_answers_as_one_without(written: Path, files: list[bytes], tmp_path: Path) -> None:
    guard = Guard.load(written)
    assert guard.bundle.hashes.arrays is not None
    shown = encoded(picture(9, 128, 96).resize((100, 75)), quality=70)
    plain = Guard.load(bundles.write(tmp_path / "plain", files))
    assert plain.bundle.hashes.arrays is None
    assert [each.sources[0].cluster_id for each in (guard.check(shown), plain.check(shown))] == [1009, 1009]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("pdq_rows", lambda each: each * 0),
        ("pdq_rows", lambda each: each + 200),
        ("pdq_rows", lambda each: np.concatenate([each, each[:, :, :1]], axis=2)),
        ("pdq_lower", lambda each: each[:, ::-1].copy()),
        ("pdq_upper", lambda each: each ^ np.uint16(1)),
        ("pdq_upper", lambda each: each[:, :-1].copy()),
        ("pdq_upper_starts", lambda each: each + np.uint32(1)),
        ("pdq_upper_starts", lambda each: each[:, ::-1].copy()),
        ("pdq_lower_starts", lambda each: each * 0),
    ],
)
def test_an_index_of_other_hashes_is_refused(
    written: Path, tmp_path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    folder = shutil.copytree(written, tmp_path / "bundle")
    array(folder, name, change)
    seal(folder, manifest(folder))
    with pytest.raises(BundleError, match="pdq_"):
        Bundle.open(folder)
