"""Hashing pictures: speed beside the plain libraries, agreement with the reference, and a second worker's worth.

RAISONNE_BENCH_PHOTOS names a folder of JPEGs to measure speed on in place of the sample's pictures.
"""

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable
from functools import cache
from itertools import batched
from pathlib import Path

import numpy as np
import pdqhash
from PIL import Image

from tests.benchmarks.data import ROOT, RULES, originals
from tests.benchmarks.figures import Figure, Measured, NotMeasured, fastest, processors_s
from transforms.fingerprints import feed
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.feed import Feed
from transforms.fingerprints.fingerprint import fingerprint
from transforms.hashing.hashes import from_hex

# Of the pictures measured: pixels on the long side, and JPEG quality.
_SIDE, _JPEG_QUALITY = 500, 85
_BLOCK = bytes(2 << 20)
_QUALITY = 80  # of a PDQ hash, from which the reference states its rule
# The values that ThreatExchange publishes for the pictures in its folder pdq/data.
_REFERENCE = {
    "dih/bridge-1-original.jpg": "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22",
    "dih/bridge-2-rotate-90.jpg": "30a10efd71cc3d429013d48d0ffffc52e34e0e17ada952a9d29685211ea9e5af",
    "dih/bridge-3-rotate-180.jpg": "adad5a64b5a142e75b62a09857da895ae63b847fc23794b766b319361bc93188",
    "dih/bridge-4-rotate-270.jpg": "a5f0a457a48995e8c9065c275aaa5498b61ba4bdf8fcf80387c32f8b1bfc4f05",
    "dih/bridge-5-flipx.jpg": "f8f80f31e0f417b20e37f5cd028f980fb36ed02a9662c1e233e64c634e9c64dd",
    "bridge-mods/blur-a-little.jpg": "f8f8f0cee0f4a84f06370a2a038f63f0b36e26d596621e1d33e6b39c4e9c9b22",
    "bridge-mods/blur-a-lot.jpg": "f8f8f0cee0f4a84f0637022a038f67f0b36e26d596621e1d33e6b39c4e9c9b22",
    "bridge-mods/high-contrast.jpg": "f8f8f0cee0f4a84f06370a2a068f67f0b36e26d596621e1d33e6339c4e9c9b22",
    "bridge-mods/high-saturation.jpg": "f8f8f0cee0f4a84f06370a22038f67f0b36e2ed596221e1d33e6b39c4e9c9b22",
    "bridge-mods/sharpen-a-little.jpg": "f8f8f0cee0f4a84f0e370a22038f67f0b36e2ed596221e1d33e6b39c4a9c9b22",
    "bridge-mods/sharpen-a-lot.jpg": "d8f8f0cec0f4a84f8e370a22038f67f0b36a2ed597231e1d72e6b39c4a9c9b22",
    "bridge-mods/shrink-a-little.jpg": "f8f8f0cee0f4a84f06370a22038f67f0b36e2ed596621e1d33e6339c4e9c9b22",
    "bridge-mods/shrink-a-lot.jpg": "d0f8f1ccc0f4a84d0a370a3a228f67f0b36e2ed5b6623e1d33e6339c4e9c9b22",
    "bridge-mods/square-128x128.jpg": "d8f8f1eec0f4a84f0e37022a078f63f0b36e2ed596621e1d33e6239c4e9c9b22",
    "bridge-mods/square-256x256.jpg": "d8f8f0cec4f4a84f0637022a078f67f0b36e2ee5b6621e1d33e6239c4e9c9b22",
}


@cache
def photos() -> list[bytes]:
    """Return up to 150 JPEGs: those of RAISONNE_BENCH_PHOTOS as they lie, or else the sample's, scaled."""
    folder = os.environ.get("RAISONNE_BENCH_PHOTOS")
    if folder:
        found = [path.read_bytes() for path in sorted(Path(folder).rglob("*.jp*g"))[:150]]
        if not found:
            raise NotMeasured(f"no .jpg or .jpeg below {folder}: correct RAISONNE_BENCH_PHOTOS")
        return found
    photos = []
    for data in originals().values():
        with Image.open(io.BytesIO(data)) as image:
            scale = _SIDE / max(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            large = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        large.save(buffer, "JPEG", quality=_JPEG_QUALITY)
        photos.append(buffer.getvalue())
    return photos


def _plain(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        pdqhash.compute(np.asarray(image.convert("RGB")))


def settle() -> None:
    """Bring the C library's allocator into the state of a long run, for both peers.

    glibc maps a large block anew, and the kernel clears it, each time until one of that size has been freed; then it
    keeps them. In a fresh process the plain side, which allocates most, took twice as long: 5.4 instead of 2.5 ms.
    """
    large = bytearray(31 << 20)
    del large


def _ratio() -> Measured:
    files = photos()
    settle()
    ours_at_once = Feed(RULES, {}, expected=feed.WORTH)
    peers: dict[str, Callable[[], object]] = {
        "ours": lambda: [ours_at_once(some) for some in batched(files, ours_at_once.files)],
        "Pillow + pdqhash": lambda: [_plain(data) for data in files],
    }
    peers["ours"]()  # a process is there from now on
    best = fastest(peers, rounds=9, clock=processors_s)
    ours, plain = best.values()
    return Measured(
        plain / ours,
        {
            "ours_images_per_s": len(files) / ours,
            "plain_images_per_s": len(files) / plain,
            "bytes_per_image": sum(map(len, files)) / len(files),
        },
    )


def _conformance() -> Measured:
    folder = Path(os.environ.get("RAISONNE_BENCH_PDQ", ROOT.parent / "shared" / "data" / "pdq"))
    if not folder.is_dir():
        raise NotMeasured("set RAISONNE_BENCH_PDQ to a copy of ThreatExchange's pdq/data, which is not part of this")
    worst, worst_turned = 0, 0
    for name, published in _REFERENCE.items():
        found, pixels = fingerprint(Path(folder, name).read_bytes(), RULES, dihedral=True)
        if pixels is None or found.pdq is None or found.dihedral is None or (found.pdq_quality or 0) < _QUALITY:
            continue
        worst = max(worst, int(np.bitwise_count(from_hex([found.pdq]) ^ from_hex([published])).sum()))
        turned = np.packbits(pdqhash.compute_dihedral(pixels)[0], axis=1)
        worst_turned = max(worst_turned, int(np.bitwise_count(found.dihedral ^ turned).sum(axis=1).max()))
    return Measured(max(worst, worst_turned), {"published": worst, "dihedral": worst_turned})


def _two_workers() -> Measured:
    files = photos()[:64]  # short rounds, and many: both cores are rarely free for long on a shared machine
    settle()
    ours = Feed(RULES, {}, expected=feed.WORTH)

    def run(workers: int) -> None:
        pace = WorkPace(batch=64, workers=workers).by(ours.files)
        deque(work_ahead(ours, ours.handfuls(files, workers), pace), maxlen=0)

    run(2)
    best = fastest(
        {
            "one worker": lambda: run(1),
            "two workers": lambda: run(2),
            "SHA-256, one worker": lambda: sha256_of_blocks(1, len(files)),
            "SHA-256, two workers": lambda: sha256_of_blocks(2, len(files)),
        },
        rounds=40,
    )
    one, two, hashed, hashed_by_two = best.values()
    return Measured(one / two, {"sha256_alone": hashed / hashed_by_two, "images_per_s": len(files) / two})


def sha256_of_blocks(threads: int, count: int) -> None:
    """Hash blocks, each as much work as a picture, which takes neither a lock nor memory: what a machine can gain.

    Args:
        threads: At once.
        count: Blocks.
    """
    deque(work_ahead(_digest, [_BLOCK] * count, WorkPace(batch=64, workers=threads)), maxlen=0)


def _digest(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()


FIGURES = (
    Figure(
        "hash_ratio",
        "ratio",
        ">= 1.8",
        "Pillow + pdqhash by processor time, 150 JPEGs of the sample at 500 pixels; ours hashes bytes and pixels too",
        _ratio,
    ),
    Figure(
        "hash_conformance_bits",
        "bits",
        "<= 10",
        "the hashes published with ThreatExchange's pdq/data, 15 pictures, and pdqhash's of their eight turns",
        _conformance,
    ),
    Figure(
        "hash_two_workers",
        "ratio",
        ">= 1.8",
        "one worker, the same JPEGs; sha256_alone is what SHA-256, which needs no lock, gains by a second worker here",
        _two_workers,
    ),
)
