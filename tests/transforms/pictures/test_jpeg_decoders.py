"""Two decoders of JPEGs, one result: whatever the faster one decodes, Pillow decodes to the same bits."""

import numpy as np
import pytest
from conftest import encoded, picture
from PIL import Image

from transforms.pictures import Bounds, DecodeError, decoder
from transforms.pictures.renderings import look

EXIF = Image.Exif()
EXIF[0x0112] = 6
WAYS: list[dict[str, object]] = [
    {},
    {"quality": 20, "subsampling": "4:1:1"},
    {"quality": 95, "subsampling": 0, "progressive": True},
    {"subsampling": "4:2:2", "restart_marker_blocks": 3},
    {"keep_rgb": True},
    {"exif": EXIF},
]


def seen(data: bytes, monkeypatch: pytest.MonkeyPatch, *, both: bool) -> object:
    """Return what is seen of a file, by both decoders or by Pillow alone."""
    monkeypatch.setattr(decoder, "_SAME_LIBRARY", both)
    try:
        found = look(data, Bounds())
    except DecodeError as error:
        return str(error)
    return found.picture.shape, found.picture.tobytes(), found.identity, found.note, found.hidden


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_both_decoders_of_jpegs_see_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, faster = np.random.default_rng(1), 0
    for number, way in enumerate(WAYS):
        if "keep_rgb" in way and mode != "RGB":
            continue
        whole = encoded(picture(number, 97, 61).convert(mode), **way)
        flipped = bytearray(whole)
        flipped[int(rng.integers(len(whole) // 2, len(whole)))] ^= 16
        for data in (whole, whole + b"rest", whole[:-2], whole[: len(whole) // 2], bytes(flipped)):
            assert seen(data, monkeypatch, both=True) == seen(data, monkeypatch, both=False)
        monkeypatch.setattr(decoder, "_SAME_LIBRARY", True)
        faster += decoder.decoded(whole, Bounds(), lambda found: found.pixels is not None)
    # not for CMYK, which becomes RGB otherwise, and not for those that are turned
    assert faster == {"RGB": len(WAYS) - 1, "L": len(WAYS) - 2, "CMYK": 0}[mode]
