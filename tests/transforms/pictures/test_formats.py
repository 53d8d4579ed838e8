"""HEIC and JPEG XL: read with their plug-ins, and named with the fix without them."""

import importlib.util
import io

import numpy as np
import pytest
from conftest import picture

from transforms.pictures import HEAD, Bounds, DecodeError, begins_as_picture, decode, formats, jxl, look
from transforms.pictures.renderings import decode as decode_here

ROOM = 1_000_000
HEIC = b"\0\0\0\x1cftypheic" + bytes(40)
BARE, BOXED = b"\xff\x0a" + bytes(40), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)
IMAGE = picture(3, 160, 120)


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    formats._plug_in(kind)
    IMAGE.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("data", "name"), [(HEIC, "HEIC"), (BARE, "JPEG XL"), (BOXED, "JPEG XL")])
def test_without_its_plug_in_a_file_fails_with_what_to_install(
    data: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_plug_in", lambda kind: False)
    assert begins_as_picture(data[:HEAD])
    with pytest.raises(DecodeError, match=rf"{name} needs a plug-in .*pip install 'pillow-heif"):
        decode_here(data, Bounds(ROOM))


@needs("pillow_heif")
def test_heic_is_decoded() -> None:
    data = saved("HEIF")
    assert begins_as_picture(data[:HEAD])
    assert np.abs(decode(data, ROOM).astype(int) - np.asarray(IMAGE)).mean() < 8
    for broken in (HEIC, data[:-100], data[:200]):
        with pytest.raises(DecodeError):
            decode(broken, ROOM)
    with pytest.raises(DecodeError, match="limits"):
        decode(data, 100)


@needs("pillow_jxl")
def test_jpeg_xl_is_decoded() -> None:
    data = saved("JXL", lossless=True)
    assert begins_as_picture(data[:HEAD])
    found = look(data, ROOM)
    assert np.array_equal(found.picture, np.asarray(IMAGE)) and found.hidden is None
    with pytest.raises(DecodeError, match=r"160x120 pixels are more than limits\.pixels = 100"):
        decode(data, 100)  # before the plug-in, which decompresses as it opens
    with pytest.raises(DecodeError):
        decode(data[:-100], ROOM)


def written(*fields: tuple[int, int]) -> bytes:
    """Return a codestream of these bits, each a value and its width."""
    value, place = 0, 0
    for number, width in fields:
        value |= number << place
        place += width
    return b"\xff\x0a" + value.to_bytes(32, "little")


def test_the_header_of_jpeg_xl_states_its_size_and_what_else_there_is() -> None:
    small = ((1, 1), (14, 5), (0, 3), (19, 5))  # 120 high, 160 wide, by eights
    large = ((0, 1), (1, 2), (2999, 13), (3, 3))  # 3,000 high, 4 to 3
    usual, animated = ((1, 1),), ((0, 1), (1, 1), (0, 3), (0, 1), (0, 1), (1, 1))
    deep = ((0, 1), (0, 1), (0, 1), (2, 2))  # nothing more; integers; of 12 bits
    assert jxl.header(written(*small, *usual)) == jxl.JxlHeader(160, 120, 8, several=False)
    assert jxl.header(written(*large, *animated)) == jxl.JxlHeader(4000, 3000, 8, several=True)
    assert jxl.header(written(*small, *deep)).bits == 12
    boxed = BOXED[:12] + b"\0\0\0\x14ftypjxl " + bytes(8) + b"\0\0\0\0jxlc" + written(*small, *usual)
    assert jxl.header(boxed).width == 160
    for broken in (b"\xff\x0a", BOXED, BOXED[:12] + b"\0\0\0\0jxlc\0\0"):
        with pytest.raises(ValueError, match=r"cut off|no codestream"):
            jxl.header(broken)
