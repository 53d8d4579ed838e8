"""Any bytes decode to upright 8-bit RGB or to a reason in plain words."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transforms.hashing.hashes import from_hex, pdq, pixel_sha256, sha256
from transforms.pictures import DecodeError, decode

ROOM = 50_000_000
PDQ = Path(__file__).resolve().parents[3] / "shared" / "data" / "pdq"
MODES = PDQ / "misc-images"
# Of bridge-1-original.jpg, by Meta's C++ program; its README in ThreatExchange lists it.
REFERENCE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
needs_pdq = pytest.mark.skipif(not PDQ.is_dir(), reason=f"the PDQ reference pictures are not at {PDQ}")


def decoded(image: Image.Image, kind: str = "PNG", **options: object) -> np.ndarray:
    return decode(encoded(image, kind, **options), ROOM)


def error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean absolute difference, in levels of 256."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def bits(a: str, b: str) -> int:
    return int(np.bitwise_count(np.bitwise_xor(*from_hex([a, b]))).sum())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_browsers_show_becomes_rgb(kind: str) -> None:
    image = picture(1)
    found = decoded(image, kind)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((192, 256, 3), np.uint8, True)
    assert error(found, np.asarray(image)) < 8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_png_becomes_rgb(mode: str) -> None:
    grey = np.asarray(picture(2).convert("L"))
    images = {
        "I;16": lambda: Image.fromarray(grey.astype(np.uint16) * 257),
        "P": lambda: Image.fromarray(grey).quantize(256),
    }
    image = images.get(mode, lambda: Image.fromarray(grey).convert("RGB").convert(mode))()
    assert image.mode == mode
    found = decoded(image)
    assert (found.shape, found.dtype) == ((192, 256, 3), np.uint8)
    if mode != "1":
        assert error(found, np.repeat(grey[:, :, None], 3, axis=2)) < 2


def test_cmyk_keeps_its_colours() -> None:
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    assert error(decoded(red, "JPEG"), np.full((64, 64, 3), (255, 0, 0))) < 3


def test_16_bit_samples_are_scaled_by_their_range_and_not_by_the_picture() -> None:
    dark = Image.fromarray(np.full((32, 32), 257 * 10, np.uint16))
    assert np.unique(decoded(dark)).tolist() == [10]


def test_transparent_pixels_lie_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert decoded(image)[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_the_transparent_colour_of_a_palette_lies_on_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    assert decoded(image, transparency=0)[0].tolist() == [[255, 255, 255], [0, 0, 200]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_counts(kind: str) -> None:
    first, second = picture(3), picture(4)
    found = decoded(first, kind, save_all=True, append_images=[second], duration=50)
    assert error(found, np.asarray(first)) < 10 < error(found, np.asarray(second))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = picture(5)
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decoded(upright.transpose(stored) if stored is not None else upright, "JPEG", exif=exif)
    assert found.shape == (192, 256, 3)
    assert error(found, np.asarray(upright)) < 8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: zero bytes"),
        (b"<html>403", "not a picture: begins with b'<html>403'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (encoded(picture(6))[:3000], "truncated"),
        (encoded(picture(6), "PNG")[:3000], "broken"),
        (encoded(picture(6), "WEBP")[:3000], "broken|not a picture"),
        (b"\xff\xd8\xff\xe0", "not a picture|broken"),
    ],
)
def test_bytes_that_are_no_usable_picture_have_a_plain_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(data, ROOM)


def test_the_limit_of_pixels_is_exact_and_checked_before_decompressing() -> None:
    image = encoded(Image.new("L", (100, 50)), "PNG")
    assert decode(image, 5000).shape == (50, 100, 3)
    with pytest.raises(DecodeError, match=r"100x50 pixels are more than limits\.pixels = 4999"):
        decode(image, 4999)
    with pytest.raises(DecodeError, match=r"limits\.pixels"):
        decode(image[:60], 4999)  # the header alone decides: the pixels are not even there


def test_a_tile_larger_than_the_picture_counts_in_full() -> None:
    plain = encoded(picture(12, 64, 64), "TIFF")
    entries = struct.unpack("<H", plain[8:10])[0] if plain[4:8] == b"\x08\0\0\0" else 0
    assert entries, "the directory is not where this test looks for it"
    kept = plain[10 : 10 + 12 * entries]
    # tags of a tile's width and length, beyond those there: a directory of its own at the end of the file
    tiles = struct.pack("<HHII", 322, 4, 1, 16384) + struct.pack("<HHII", 323, 4, 1, 16384)
    directory = struct.pack("<H", entries + 2) + kept + tiles + bytes(4)
    bomb = plain[:4] + struct.pack("<I", len(plain)) + plain[8:] + directory
    with pytest.raises(DecodeError, match=r"tiles of 16384x16384 pixels are more than limits\.pixels"):
        decode(bomb, ROOM)


def test_a_jpeg_of_endless_scans_is_refused_before_they_are_read() -> None:
    image = encoded(picture(13, 320, 200), progressive=True)
    last = image[image.rindex(b"\xff\xda") : -2]
    assert decode(image, 64_000).shape == (200, 320, 3)
    with pytest.raises(DecodeError, match=r"scans of 320x200 pixels: limits\.pixels = 64000 allows 200"):
        decode(image[:-2] + last * 250 + image[-2:], 64_000)


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]))
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_give_a_picture_or_a_reason_and_nothing_else(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(picture(7, 48, 32), kind))
    for place in rng.integers(0, len(data), int(rng.integers(1, 20))):
        data[place] = rng.integers(0, 256)
    try:
        found = decode(bytes(data[: int(rng.integers(1, len(data) + 1))]), 1_000_000)
    except DecodeError as reason:
        assert str(reason)
    else:
        assert (found.ndim, found.shape[2], found.dtype) == (3, 3, np.uint8)


def test_equal_pixels_in_different_containers_share_the_pixel_hash_only() -> None:
    png, bmp = encoded(picture(8), "PNG"), encoded(picture(8), "BMP")
    assert sha256(png) != sha256(bmp)
    assert pixel_sha256(decode(png, ROOM)) == pixel_sha256(decode(bmp, ROOM))


def test_the_pixel_hash_tells_shapes_of_the_same_bytes_apart() -> None:
    assert pixel_sha256(np.zeros((2, 3, 3), np.uint8)) != pixel_sha256(np.zeros((3, 2, 3), np.uint8))


def test_a_flat_picture_has_no_pdq_quality() -> None:
    assert pdq(np.full((128, 128, 3), 90, np.uint8)).quality == 0
    assert pdq(np.asarray(picture(9))).quality >= 50


def test_a_pdq_hash_survives_writing_and_reading() -> None:
    found = [pdq(np.asarray(picture(seed))) for seed in (10, 11)]
    assert from_hex([each.hex for each in found]).tolist() == [each.bits.tolist() for each in found]


@needs_pdq
@pytest.mark.parametrize(
    "path", sorted([*MODES.glob("*.*g"), *(p for p in (MODES / "modes").glob("*.*") if p.suffix != ".md")]), ids=str
)
def test_the_odd_reference_pictures_decode(path: Path) -> None:
    found = decode(path.read_bytes(), ROOM)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert found.shape == (image.height, image.width, 3)
    if path.parent.name == "modes":
        assert bits(pdq(found).hex, REFERENCE) <= 31, "the mode changed what the picture shows"
