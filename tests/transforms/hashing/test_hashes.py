"""PDQ hashes agree with the kept library's and with the published ones, all eight turns of a picture included."""

import os
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from conftest import ROOT, picture

from transforms.hashing.hashes import Pdq, pdq, pdq_dihedral, pdq_turned
from transforms.pictures import DecodeError, Pixels, decode

ROOM = 50_000_000
MOST = 10  # bits that an implementation may differ by, at quality 80 and more (ThreatExchange, pdq/README.md)
QUALITY = 80
PDQ = Path(os.environ.get("RAISONNE_BENCH_PDQ", ROOT.parent / "shared" / "data" / "pdq"))
# Of bridge-1-original.jpg, by Meta's C++ program; its README in ThreatExchange lists it.
REFERENCE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
# Each turn in the order of pdq_dihedral: rotated by 90, 180, 270 degrees, flipped upside down, left to right, and over.
TURNS = (
    lambda p: p,
    lambda p: np.rot90(p, 1),
    lambda p: np.rot90(p, 2),
    lambda p: np.rot90(p, 3),
    lambda p: p[::-1],
    lambda p: p[:, ::-1],
    lambda p: np.swapaxes(p, 0, 1),
    lambda p: np.rot90(p, 2).swapaxes(0, 1),
)
needs_pdq = pytest.mark.skipif(
    not PDQ.is_dir(), reason=f"no copy of ThreatExchange's pdq/data at {PDQ}; name one in RAISONNE_BENCH_PDQ"
)


def bits(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.bitwise_count(a ^ b).sum())


def library(pixels: Pixels) -> Pdq:
    found, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return Pdq(np.packbits(found), quality)


def agrees(pixels: Pixels, name: str) -> bool:
    """Assert that ours and the library's hashes are the same to the rule; return whether the rule applies."""
    ours, theirs = pdq(pixels), library(pixels)
    assert abs(ours.quality - theirs.quality) <= 1, f"{name}: quality {ours.quality}, {theirs.quality} by the library"
    if theirs.quality < QUALITY:
        return False
    assert bits(ours.bits, theirs.bits) <= MOST, name
    own, turns = pdq_turned(pixels)
    assert (own.hex, own.quality) == (ours.hex, ours.quality) and np.array_equal(turns[0], ours.bits), name
    variants, _ = pdqhash.compute_dihedral(np.ascontiguousarray(pixels))
    for turn, (found, wanted) in enumerate(zip(pdq_dihedral(pixels), variants, strict=True)):
        assert bits(found, np.packbits(wanted)) <= MOST, f"{name}, turn {turn}"
    return True


@cache
def sample() -> dict[str, Pixels]:
    """Return the committed sample's pictures, those that can be read."""
    found = {}
    for path in sorted((ROOT / "data" / "sample" / "laion").glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith((".jpg", ".png", ".webp")):
                    try:
                        found[member.name] = decode(archive.extractfile(member).read(), ROOM)
                    except DecodeError:
                        continue  # the sample holds broken files on purpose
    return found


@pytest.mark.parametrize(
    ("width", "height"), [(65, 65), (127, 129), (128, 64), (500, 333), (333, 500), (640, 641), (1600, 70), (66, 2000)]
)
def test_drawn_pictures_of_any_shape_agree_with_the_library(width: int, height: int) -> None:
    for seed in range(4):
        drawn = np.asarray(picture(seed, width, height))
        agrees(drawn, f"seed {seed}")
        agrees((drawn * 0.2).astype(np.uint8), f"seed {seed}, dark and of low quality")
        agrees(255 - (drawn * 0.2).astype(np.uint8), f"seed {seed}, bright and of low quality")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (4, 300), (5, 5), (63, 200), (64, 64), (64, 700)])
def test_pictures_that_need_no_scaling_are_the_librarys_bit_for_bit(width: int, height: int) -> None:
    drawn = np.asarray(picture(1, max(width, 2), max(height, 2)))[:height, :width].copy()
    ours, theirs = pdq(drawn), library(drawn)
    assert (ours.hex, ours.quality) == (theirs.hex, theirs.quality)


def test_black_and_white_keep_their_luma() -> None:
    edges = np.asarray(picture(3, 400, 300)) // 128 * 255  # without symmetry: its zeros would be rounding in any hash
    assert np.unique(edges).tolist() == [0, 255]
    ours, theirs = pdq(edges), library(edges)
    assert ours.quality == theirs.quality
    assert bits(ours.bits, theirs.bits) <= MOST


def test_a_view_that_is_not_contiguous_hashes_like_its_copy() -> None:
    turned = np.swapaxes(np.asarray(picture(2, 300, 200)), 0, 1)
    assert not turned.flags.c_contiguous
    assert pdq(turned).hex == pdq(turned.copy()).hex


def test_the_samples_pictures_agree_with_the_library() -> None:
    applies = sum(agrees(pixels, name) for name, pixels in sample().items())
    assert applies > 200


def test_a_picture_turned_in_any_way_is_closest_to_that_variant() -> None:
    # The reference turns the hash and not the picture, whose grid is then another: on these it misses by up to 38 bits.
    for name, pixels in [each for each in sample().items() if pdq(each[1]).quality >= QUALITY][:40]:
        variants = pdq_dihedral(pixels)
        for turn, turned in enumerate(TURNS):
            other = np.ascontiguousarray(turned(pixels))
            found = pdq(other)
            assert bits(found.bits, library(other).bits) <= MOST, f"{name}, turn {turn}"
            distances = [bits(found.bits, variant) for variant in variants]
            assert int(np.argmin(distances)) == turn, f"{name}: {distances}"
            assert distances[turn] <= 48, f"{name}, turn {turn}: {distances}"


@needs_pdq
def test_the_published_hash_comes_out_bit_for_bit() -> None:
    found = pdq(decode((PDQ / "dih" / "bridge-1-original.jpg").read_bytes(), ROOM))
    assert (found.hex, found.quality) == (REFERENCE, 100)


@needs_pdq
def test_the_dihedral_hashes_match_the_turned_and_mirrored_reference_pictures() -> None:
    files = sorted((PDQ / "dih").glob("bridge-*.jpg"))
    assert len(files) == 8
    variants = pdq_dihedral(decode(files[0].read_bytes(), ROOM))
    assert variants[0].tobytes().hex() == REFERENCE
    closest = []
    for path in files:
        own = pdq(decode(path.read_bytes(), ROOM)).bits
        distances = [bits(own, variant) for variant in variants]
        closest.append(int(np.argmin(distances)))
        assert min(distances) <= 31, f"{path.name}: {distances}"
    assert sorted(closest) == list(range(8)), "each turn is another variant"


@needs_pdq
def test_every_reference_picture_agrees_with_the_library() -> None:
    applies = 0
    for path in sorted(PDQ.rglob("*")):
        if path.suffix in {".jpg", ".png", ".webp"}:
            applies += agrees(decode(path.read_bytes(), ROOM), path.name)
    assert applies >= 20, "fewer pictures of quality 80 and more than the folder has"
