"""Files of copies with some bytes changed: whatever Pillow shows of one that is allowed is no copy."""

import io
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import bundles
import numpy as np
import pytest
from conftest import encoded, picture
from PIL import Image, ImageSequence

from transforms.guard import Guard
from transforms.hashing.hashes import from_hex, pdq, pdq_dihedral

KNOWN = [picture(seed, 120, 90) for seed in range(2)]
NEW = picture(100, 120, 90)
_QUALITY, _RADIUS = 50, 31


def saved(first: Image.Image, kind: str, *others: Image.Image) -> bytes:
    return encoded(first.copy(), kind, save_all=True, append_images=[each.copy() for each in others])


WHOLE = [
    encoded(KNOWN[0], "PNG"),
    encoded(KNOWN[1], "JPEG"),
    encoded(KNOWN[0], "WEBP"),
    *(saved(NEW, kind, KNOWN[1]) for kind in ("GIF", "PNG", "WEBP", "TIFF")),
    encoded(KNOWN[0].convert("P"), "PNG"),
    encoded(KNOWN[1], "BMP"),
]


def mutated(count: int) -> Iterator[bytes]:
    draw = random.Random(20)  # noqa: S311
    for number in range(count):
        data = bytearray(WHOLE[number % len(WHOLE)])
        head = min(len(data), 4_000) if draw.random() < 0.7 else len(data)  # most of what decides is at the beginning
        for _ in range(draw.randrange(1, 6)):
            data[draw.randrange(head)] = draw.choice((0, 255, draw.randrange(256)))
        yield bytes(data[: draw.randrange(len(data) // 2, len(data))] if draw.random() < 0.1 else data)


def shown(data: bytes) -> Iterator[np.ndarray]:
    """Yield what Pillow shows of a file, as long as it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                for frame in ImageSequence.Iterator(image):
                    yield np.asarray(frame.convert("RGB"))
    except Exception:  # whatever Pillow raises: it shows nothing more
        return


@pytest.mark.parametrize("count", [270, pytest.param(5_000, marks=pytest.mark.thorough)])
def test_no_file_is_allowed_that_shows_a_copy(tmp_path: Path, count: int) -> None:
    guard = Guard.load(bundles.write(tmp_path / "bundle", [encoded(each, "PNG") for each in KNOWN]))
    known = from_hex([pdq(np.asarray(each)).hex for each in KNOWN])
    allowed = blocked = 0
    for data in mutated(count):
        verdict = guard.check(data)
        blocked += verdict.decision == "block"
        if not verdict.allowed:
            continue
        allowed += 1
        for pixels in shown(data):
            if min(pixels.shape[:2]) >= 16 and pdq(pixels).quality >= _QUALITY:
                bits = np.bitwise_count(pdq_dihedral(pixels)[:, None] ^ known[None]).sum(axis=2).min()
                assert bits > _RADIUS, verdict.reason
    assert allowed and blocked > count / 10
