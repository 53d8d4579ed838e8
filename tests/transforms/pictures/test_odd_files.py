"""Metadata never decides over pixels: what is whole is decoded, what was odd is noted, and what is missing fails."""

import io
import itertools
import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from conftest import encoded, picture
from PIL import Image, ImageFile, PngImagePlugin

from transforms.pictures import DecodeError, Look, Pixels, decode, look, png

ROOM = 1_000_000
IMAGE = picture(3, 160, 120)
PNG, JPEG, PROGRESSIVE = encoded(IMAGE, "PNG"), encoded(IMAGE), encoded(IMAGE, progressive=True)
CMYK = encoded(IMAGE.convert("CMYK"))
BOMB = zlib.compress(bytes(5_000_000), 9)


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(body, zlib.crc32(kind)) if crc is None else crc
    return struct.pack(">I4s", len(body), kind) + body + crc.to_bytes(4)


def png_with(*chunks: bytes, data: bytes = PNG) -> bytes:
    return data[:33] + b"".join(chunks) + data[33:]


def jpeg_with(*segments: tuple[int, bytes], data: bytes = JPEG) -> bytes:
    written = (struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return data[:2] + b"".join(written) + data[2:]


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Return an EXIF block with these entries: tag, type, count, value."""
    written = (struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(written) + bytes(20)


TURNED = (0x0112, 3, 1, b"\6\0\0\0")
ODD_PNG = {
    "a text that inflates to 5 MB": png_with(chunk(b"zTXt", b"workflow\0\0" + BOMB)),
    "an international text of 5 MB": png_with(chunk(b"iTXt", b"workflow\0\1\0\0\0" + BOMB)),
    "70 MB of plain text": png_with(*(chunk(b"tEXt", b"%d\0" % i + bytes(10_000_000)) for i in range(7))),
    "a colour profile of 5 MB": png_with(chunk(b"iCCP", b"p\0\0" + BOMB)),
    "an empty colour profile": png_with(chunk(b"iCCP", b"")),
    "a text compressed by an unknown method": png_with(chunk(b"zTXt", b"k\0\7abc")),
    "a text with a wrong checksum": png_with(chunk(b"tEXt", b"k\0v", crc=5)),
    "a gamma of one byte": png_with(chunk(b"gAMA", b"\0")),
    "a density of one byte": png_with(chunk(b"pHYs", b"\0")),
    "a transparent colour of one byte": png_with(chunk(b"tRNS", b"\0")),
    "an EXIF block that is none": png_with(chunk(b"eXIf", b"garbage")),
    "a raw profile that is no hexadecimal": png_with(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n8\nnone")),
    "a text after the pixels that is cut off": PNG[:-12] + chunk(b"tEXt", b"k\0" + bytes(900))[:400],
    "no end mark": PNG[:-12],
    "half an end mark": PNG[:-5],
    "no checksum of the pixels": PNG[:-14],
    "an archive after its end": PNG + b"PK\3\4 and more",
}
ODD_JPEG = {
    "a colour profile without a number": jpeg_with((0xE2, b"ICC_PROFILE\0")),
    "a short JFIF segment": jpeg_with((0xE0, b"JFIF")),
    "a short Adobe segment": jpeg_with((0xEE, b"Adobe")),
    "no end mark": JPEG[:-2],
    "half an end mark": JPEG[:-1],
    "an archive after its end": JPEG + b"PK\3\4 and more",
}


@pytest.mark.parametrize("what", ODD_PNG)
def test_a_png_with_odd_metadata_shows_its_pixels(what: str) -> None:
    found = look(ODD_PNG[what], ROOM)
    assert np.array_equal(found.picture, np.asarray(IMAGE))
    assert found.note and found.hidden is None and found.identity is None


@pytest.mark.parametrize("what", ODD_JPEG)
def test_a_jpeg_with_odd_metadata_shows_its_pixels(what: str) -> None:
    found = look(ODD_JPEG[what], ROOM)
    assert np.array_equal(found.picture, decode(JPEG, ROOM))
    assert found.note and found.hidden is None


def test_a_clean_file_has_no_note() -> None:
    for data in (PNG, JPEG, PROGRESSIVE, CMYK, *(encoded(IMAGE, kind) for kind in ("WEBP", "GIF", "BMP", "TIFF"))):
        assert look(data, ROOM).note is None


@pytest.mark.parametrize("data", [PROGRESSIVE, CMYK], ids=["progressive", "cmyk"])
def test_any_jpeg_without_its_end_mark_is_whole(data: bytes) -> None:
    assert np.array_equal(decode(data[:-2], ROOM), decode(data, ROOM))
    assert np.array_equal(decode(jpeg_with((0xE2, b"ICC_PROFILE\0"), data=data), ROOM), decode(data, ROOM))


def cut(data: bytes, count: int) -> bytes:
    return data[: len(data) - count]


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, CMYK], ids=["baseline", "progressive", "cmyk"])
@pytest.mark.parametrize("count", [12, 40, 400])
def test_a_jpeg_that_lacks_pixels_fails(data: bytes, count: int) -> None:
    with pytest.raises(DecodeError, match="truncated"):
        decode(cut(data, count), ROOM)


def test_a_progressive_jpeg_that_lacks_its_last_scan_fails() -> None:
    """Closed, it would decode without a warning, as if it had been saved at a lower quality."""
    last = PROGRESSIVE.rindex(b"\xff\xda")
    for end in (last, last + 6):
        with pytest.raises(DecodeError, match="truncated"):
            decode(PROGRESSIVE[:end], ROOM)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_cut_files_show_all_their_pixels_or_fail(kind: str) -> None:
    data = encoded(picture(5, 161, 120), kind)
    whole = decode(data, ROOM)
    for count in (*range(1, 40), 100, 400):
        try:
            found = decode(cut(data, count), ROOM)
        except DecodeError:
            continue
        assert np.array_equal(found, whole), count


def test_the_padding_of_a_bitmap_is_no_pixel() -> None:
    data = encoded(picture(5, 161, 120), "BMP")  # a row of 483 bytes is padded to 484
    assert np.array_equal(decode(cut(data, 1), ROOM), decode(data, ROOM))
    with pytest.raises(DecodeError, match="truncated"):
        decode(cut(data, 2), ROOM)


def test_an_interlaced_png_is_measured_by_its_passes() -> None:
    for width, height in ((1, 1), (3, 5), (8, 8), (161, 97)):
        rows = bytearray()
        for x, y, across, down in png._PASSES:
            columns = -(-(width - x) // across) if width > x else 0
            for _ in range(-(-(height - y) // down) if columns and height > y else 0):
                rows += b"\0" + bytes(3 * columns)
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
        assert png.expected_bytes(header) == len(rows)
        whole = zlib.compress(bytes(rows))
        data = png.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", whole[:-4])
        assert decode(data, ROOM).shape == (height, width, 3)
        if len(rows) > 100:
            short = zlib.compress(bytes(rows[:-40]))[:-4]
            with pytest.raises(DecodeError):
                decode(png.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", short), ROOM)


def test_webp_metadata_that_is_garbage_or_cut_off_is_left_out() -> None:
    data = encoded(IMAGE, "WEBP", exif=b"Exif\0\0garbage", xmp=b"x" * 100)
    for count in (0, 1, 50, 110):
        found = look(cut(data, count), ROOM)
        assert np.array_equal(found.picture, decode(encoded(IMAGE, "WEBP"), ROOM)) and found.note


def test_a_tag_of_a_tiff_may_be_of_any_type() -> None:
    data = encoded(IMAGE, "TIFF", dpi=(72, 72), description="abc", software="s", tiffinfo={274: 1})
    (start,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[start : start + 2])
    odd = 0
    for place in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack("<H", data[place : place + 2])[0] in (270, 274, 282, 283, 296, 305):
            for kind, many in itertools.product((1, 2, 3, 4, 5, 7, 12, 99), (1, 2, 2**31)):
                changed = data[: place + 2] + struct.pack("<HI", kind, many) + b"\xff" * 4
                found = look(changed + data[place + 12 :], ROOM)
                assert np.array_equal(found.picture, np.asarray(IMAGE))
                odd += bool(found.note)
    assert odd


@pytest.mark.parametrize(
    ("entry", "turned", "noted"),
    [
        (TURNED, True, False),
        ((0x0112, 4, 1, b"\6\0\0\0"), True, False),
        ((0x0112, 2, 2, b"6\0\0\0"), False, True),
        ((0x0112, 3, 1, b"\0\0\0\0"), False, True),
        ((0x0112, 3, 1, b"\x09\0\0\0"), False, True),
        ((0x0112, 11, 1, struct.pack("<f", 6.0)), False, True),
    ],
    ids=["short", "long", "text", "zero", "nine", "float"],
)
def test_an_orientation_that_is_none_is_upright_and_noted(
    entry: tuple[int, int, int, bytes], turned: bool, noted: bool
) -> None:
    found = look(jpeg_with((0xE1, b"Exif\0\0" + exif(entry))), ROOM)
    assert found.picture.shape == ((160, 120, 3) if turned else (120, 160, 3))
    assert bool(found.note) == noted


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 7, 10, 12, 13, 99])
@pytest.mark.parametrize("tag", [271, 282, 296, 0x8769, 0x8825, 513, 33434])
def test_the_orientation_is_read_whatever_the_other_tags_are(tag: int, kind: int) -> None:
    for value in (bytes(4), b"\xff" * 4, struct.pack("<I", 38)):  # a rational of zeros among them
        assert decode(jpeg_with((0xE1, b"Exif\0\0" + exif(TURNED, (tag, kind, 1, value)))), ROOM).shape == (160, 120, 3)


def test_the_orientation_survives_what_is_left_out() -> None:
    block = exif(TURNED)
    text = chunk(b"zTXt", b"workflow\0\0" + BOMB)
    xmp = chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>')
    turned: dict[str, bytes] = {
        "EXIF of a PNG": png_with(chunk(b"eXIf", block), text),
        "XMP of a PNG": png_with(xmp, text),
        "EXIF of a JPEG": jpeg_with((0xE1, b"Exif\0\0" + block), (0xE2, b"ICC_PROFILE\0")),
    }
    for where, data in turned.items():
        found = look(data, ROOM)
        assert found.picture.shape == (160, 120, 3) and found.note, where


def test_an_animation_that_is_broken_is_hidden() -> None:
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    for data in (png_with(chunk(b"acTL", b"\0")), png_with(control, chunk(b"fcTL", bytes(26)))):
        found = look(data, ROOM)
        assert np.array_equal(found.picture, np.asarray(IMAGE))
        assert found.hidden == "its animation is broken" and found.identity


def test_bombs_are_no_way_in() -> None:
    """A header that lies about its size is refused before its pixels are inflated, also where metadata is left out."""
    header = struct.pack(">IIBBBBB", 2**20, 2**20, 8, 2, 0, 0, 0)
    inflating = zlib.compressobj(9)
    pixels = b"".join(inflating.compress(bytes(1 << 20)) for _ in range(200)) + inflating.flush()
    start = time.process_time()
    for odd in (b"", chunk(b"zTXt", b"k\0\7")):
        with pytest.raises(DecodeError):
            decode(png.SIGNATURE + chunk(b"IHDR", header) + odd + chunk(b"IDAT", pixels), ROOM)
    assert png.rebuilt(png.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", pixels), ROOM, animated=True) is None
    assert time.process_time() - start < 30


def test_pillows_own_switches_stay_as_they_are() -> None:
    """They hold for the whole process: other threads and libraries would get half pictures."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    for data in (*ODD_PNG.values(), *ODD_JPEG.values()):
        look(data, ROOM)
    assert (
        (
            ImageFile.LOAD_TRUNCATED_IMAGES,
            PngImagePlugin.MAX_TEXT_CHUNK,
            PngImagePlugin.MAX_TEXT_MEMORY,
        )
        == before
        == (False, ImageFile.SAFEBLOCK, 64 * ImageFile.SAFEBLOCK)
    )


@pytest.mark.parametrize("seed", range(8))
def test_any_noise_in_metadata_leaves_the_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise: Callable[[], bytes] = lambda: rng.bytes(int(rng.integers(0, 200)))  # noqa: E731
    for _ in range(30):
        kind = bytes(
            rng.choice([b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"gAMA", b"cHRM", b"pHYs", b"sRGB", b"tIME"])
        )
        assert np.array_equal(decode(png_with(chunk(kind, noise())), ROOM), np.asarray(IMAGE)), kind
        marker = int(rng.choice([0xE1, 0xE2, 0xED, 0xE5, 0xFE]))
        head = bytes(
            rng.choice([b"", b"Exif\0\0", b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0", b"Exif\0\0II*\0\x08\0\0\0"])
        )
        found = decode(jpeg_with((marker, head + noise())), ROOM)
        assert sorted(found.shape) == [3, 120, 160], (marker, head)  # noise may state an orientation


def opened(data: bytes) -> Pixels:
    """Return what Pillow alone decodes."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_plain_files_are_decoded_as_pillow_does() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        data = encoded(IMAGE, kind)
        found: Look = look(data, ROOM)
        assert np.array_equal(found.picture, opened(data)) and (found.identity, found.covered) == (None, True)
