"""Damaged pictures in every format end with a status, in a process of their own: no crash, no hang, bounded memory.

Run as a program, with COUNT and SEED, it goes on to more pictures than the test does.
"""

import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encoded, picture
from PIL import Image

from transforms.fingerprints.fingerprint import FAILED, LOW_QUALITY, OK, Rules, fingerprint

SEED = 3
SECONDS = 900
MEGABYTES = 400  # beyond what is held before the first picture: 100 bytes for each of the pixels that RULES allow
RULES = Rules(max_pixels=4_000_000, member_bytes=1_000_000, pdq_quality=50)
ODD = Path(os.environ.get("RAISONNE_BENCH_PDQ", ROOT.parent / "shared" / "data" / "pdq")) / "misc-images"


def sound() -> list[bytes]:
    """Return small pictures in every format and in what browsers meet of its variants."""
    rgb, other = picture(1, 96, 80), picture(2, 96, 80)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    return [
        encoded(rgb, exif=exif),
        encoded(rgb, progressive=True, quality=95),
        encoded(rgb.convert("CMYK")),
        encoded(rgb.convert("L"), icc_profile=bytes(200)),
        encoded(rgb, "PNG"),
        encoded(rgb.convert("RGBA"), "PNG"),
        encoded(rgb.quantize(16), "PNG", transparency=3),
        encoded(Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257), "PNG"),
        encoded(rgb, "PNG", save_all=True, append_images=[other], duration=50),
        encoded(rgb, "WEBP", exif=exif),
        encoded(rgb.convert("RGBA"), "WEBP", lossless=True),
        encoded(rgb, "WEBP", save_all=True, append_images=[other], duration=50),
        encoded(rgb, "GIF", save_all=True, append_images=[other], duration=50),
        encoded(rgb.quantize(8), "GIF", transparency=2),
        encoded(rgb, "BMP"),
        encoded(rgb.quantize(16), "BMP"),
        encoded(rgb, "TIFF"),
        encoded(rgb, "TIFF", compression="tiff_lzw"),
        encoded(rgb, "TIFF", compression="tiff_adobe_deflate"),
        encoded(rgb, "TIFF", compression="jpeg"),
        encoded(rgb.convert("1"), "TIFF", compression="group4"),
        encoded(rgb, "AVIF"),
        encoded(rgb.convert("RGBA"), "AVIF", save_all=True, append_images=[other.convert("RGBA")], duration=50),
    ]


def damaged(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield pictures, each damaged in one way or more, with what was done to them."""
    rng = np.random.default_rng(seed)
    pictures = sound()
    for number in range(count):
        which = int(rng.integers(len(pictures)))
        data = bytearray(pictures[which])
        done = []
        for way in rng.choice(
            ["bits", "header bytes", "cut", "swapped header", "hole"], int(rng.integers(1, 3)), False
        ):
            done.append(way)
            match way:
                case "bits":
                    for place in rng.integers(0, len(data), int(rng.integers(1, 20))):
                        data[place] ^= 1 << int(rng.integers(8))
                case "header bytes":
                    for place in rng.integers(0, min(len(data), 200), int(rng.integers(1, 6))):
                        data[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
                case "cut":
                    del data[int(rng.integers(1, len(data))) :]
                case "swapped header":
                    size = int(rng.choice([4, 12, 16, 33, 64, 200]))
                    data[:size] = pictures[int(rng.integers(len(pictures)))][:size]
                case "hole":
                    start = int(rng.integers(len(data)))
                    del data[start : start + int(rng.integers(1, 64))]
        yield f"{number}: picture {which}, {', '.join(done)}", bytes(data)


def run(count: int, seed: int) -> None:
    """Fingerprint them all, naming each before it is tried, and end with the statuses and the memory taken."""
    fingerprint(encoded(picture(0)), RULES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    statuses: Counter[str] = Counter()
    odd = sorted(path for path in ODD.rglob("*") if path.is_file())
    for name, data in [*((path.name, path.read_bytes()) for path in odd), *damaged(count, seed)]:
        print(name, flush=True)  # a crash or a hang is then the last line's
        found, pixels = fingerprint(data, RULES)
        statuses[found.status] += 1
        assert found.status in (OK, LOW_QUALITY, FAILED)
        assert (found.status == FAILED) == bool(found.failure) == (pixels is None)
        assert (found.status != FAILED) == bool(found.sha256 and found.pixel_sha256 and found.pdq)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"{statuses[OK]} {statuses[LOW_QUALITY]} {statuses[FAILED]} {grown}")


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.thorough)])
def test_damaged_pictures_end_with_a_status(count: int) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    try:
        done = subprocess.run(
            [sys.executable, __file__, str(count), str(SEED)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode().splitlines()
        raise AssertionError(f"not done after {SECONDS} s, at {said[-1:]}") from None
    said = done.stdout.splitlines()
    assert done.returncode == 0, f"exit {done.returncode} at {said[-1:]}: {done.stderr[-2000:]}"
    ok, low_quality, failed, grown = map(int, said[-1].split())
    assert ok + low_quality + failed >= count
    assert min(ok, failed) > count // 10, "the damage is all too light or all too heavy to test anything"
    assert grown <= MEGABYTES, f"{grown} MB more than before the first picture"


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
