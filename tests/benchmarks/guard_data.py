"""Guard bundles of any size, of made-up fingerprints, and what is asked of them.

What belongs here: inputs of the group `guard`. What does not: measuring (`guard.py`, `guard_service.py`).
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms import encoders
from transforms.encoders import Encoder, Vectors
from transforms.guard import Policy
from transforms.guard.bundle_writer import CLUSTER_SCHEMA, BundleFiles, new_bundle
from transforms.pictures import Pixels

ROWS = 1_000_000  # training rows of the figures that name no other number
FAST = "sscd_distilled"
DIMENSION = 512
_BATCH = 8_192
_POLICY = Policy(pdq=31, pdq_quality=50, copy_score=0.5, p_value=None, at_least=1)


@cache
def encoder(name: str) -> Encoder:
    """Load an encoder, once."""
    return encoders.load(name)


@cache
def pictures(count: int, side: int = 512) -> list[Pixels]:
    """Return pictures that no other resembles, decoded: blurred noise of several sizes."""
    from PIL import Image

    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        layers = [
            np.asarray(Image.fromarray(rng.integers(0, 256, (s, s, 3), np.uint8)).resize((side, side))).astype(
                np.float32
            )
            for s in (4, 16, 64, 256)
        ]
        mixed = sum(w * layer for w, layer in zip((0.4, 0.3, 0.2, 0.1), layers, strict=True))
        made.append(mixed.astype(np.uint8))
    return made


def hashes(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Return random hashes, uint8 (count, 32)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def vector_batches(count: int) -> Iterator[tuple[npt.NDArray[np.int64], Vectors, npt.NDArray[np.uint32]]]:
    """Yield random unit vectors as `BundleFiles.vectors` takes them; the same ones whatever the count."""
    for start in range(0, count, _BATCH):
        stop = min(count, start + _BATCH)
        made = np.random.default_rng(start).standard_normal((stop - start, DIMENSION), dtype=np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        yield np.arange(start, stop), made, np.arange(start, stop, dtype=np.uint32)


@contextmanager
def bundle(rows: int, encoded_by: str | None = None) -> Iterator[Path]:
    """Write a bundle of so many different pictures, each a cluster, and remove it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        with new_bundle(Path(folder) / "bundle") as files:
            _fill(files, rows, encoded_by)
        yield Path(folder) / "bundle"


def _fill(files: BundleFiles, rows: int, encoded_by: str | None) -> None:
    starts = range(0, rows, 65_536)
    files.clusters(batch for start in starts for batch in _clusters(start, min(rows, start + 65_536)).to_batches())
    for seed, kind in enumerate(("bytes", "pixels")):
        digests = hashes(rows, seed)
        order = np.argsort(np.ascontiguousarray(digests[:, :8]).view(">u8").ravel(), kind="stable")
        files.digests(kind, rows, [(digests[order], order.astype(np.uint32))])
    files.hashes(rows, [(hashes(rows, 2), np.arange(rows, dtype=np.uint32))])
    about: dict[str, object] = {"encoder": None, "sketches": None, "calibration": None}
    fingerprints = ["sha256", "pixels", "pdq"]
    if encoded_by:
        files.vectors(rows, DIMENSION, vector_batches(rows))
        _, background, owner = next(vector_batches(256))
        files.whole("background", background)
        files.whole("background_cluster", owner)
        files.whole("null_scores", np.linspace(-0.2, 0.3, 256))
        identity = str(encoder(encoded_by).id)
        about = {
            "encoder": {"name": encoded_by, "identity": identity, "dimension": DIMENSION},
            "sketches": {"recall": None},
            "calibration": {"tail": None, "null_pictures": 256},
        }
        fingerprints.append("embedding")
    counts = {"rows": rows, "clusters": rows, "pictures": rows, "searchable": rows, "coverage": 1.0}
    files.finish(
        {
            "version": {"number": 1, "published_at": "", "lance_versions": {}},
            "policy": asdict(_POLICY),
            "limits": {"pixels": 50_000_000, "member_bytes": 100_000_000},
            "views": {"scales": [0.5], "flips": "whole"},
            "fingerprints": fingerprints,
            "counts": counts,
            "coverage": [],
            "methods": [],
            **about,
        }
    )


def _clusters(start: int, stop: int) -> pa.Table:
    count = stop - start
    columns = {
        "cluster_id": pa.array(range(start, stop), pa.uint64()),
        "sample_id": pa.array(range(start, stop), pa.uint64()),
        "dataset": ["made-up"] * count,
        "duplicate_count": [1] * count,
        "recalled_count": [0] * count,
        "url": [f"https://images.example.org/a/path/of/usual/length/{n}.jpg" for n in range(start, stop)],
        "licenses": [["cc-by-4.0"]] * count,
    }
    return pa.table(columns, CLUSTER_SCHEMA)
