"""Small guard bundles of pictures drawn on the spot, by an encoder without weights."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.blurred import Blurred
from transforms.alignment.policy import PixelLimits
from transforms.fingerprints.embeddings import embed
from transforms.guard import Policy
from transforms.guard.bundle_writer import CLUSTER_SCHEMA, new_bundle
from transforms.guard.pixels.renditions import encoded
from transforms.guard.signature import private_key
from transforms.hashing.hashes import from_hex, pdq, pixel_sha256, sha256
from transforms.pictures import decode

__all__ = ("POLICY", "Blurred", "write")

POLICY = Policy(pdq=31, pdq_quality=50, copy_score=0.5, p_value=None, at_least=1)


def write(
    folder: Path,
    files: Sequence[bytes],
    encoder: Blurred | None = None,
    policy: Policy = POLICY,
    limits: dict[str, int] | None = None,
    url: str = "https://images.example.org/{}.jpg",
    key: Path | None = None,
    encoder_name: str = "blurred",
    renditions: int = 0,
    indexed: bool | None = None,
) -> Path:
    """Write a bundle in which each file is a cluster of its own: number n was trained on n + 1 times.

    Of the last `renditions` of them, which were trained on most, a small copy is kept.
    """
    numbers = np.arange(len(files), dtype=np.uint32)
    pictures = [decode(data, 10**9) for data in files]
    with new_bundle(folder) as made:
        rows = [
            {
                "cluster_id": 1000 + n,
                "sample_id": 2**60 + n,
                "dataset": "tiny",
                "duplicate_count": n + 1,
                "recalled_count": 0,
                "url": url.format(n),
                "licenses": ["cc0-1.0"],
            }
            for n in numbers.tolist()
        ]
        made.clusters(pa.Table.from_pylist(rows, CLUSTER_SCHEMA).to_batches())
        for kind, digests in (("bytes", map(sha256, files)), ("pixels", map(pixel_sha256, pictures))):
            rows_of = from_hex(list(digests))
            order = np.lexsort(rows_of.T[::-1])
            made.digests(kind, len(files), [(rows_of[order], numbers[order])])
        made.hashes(len(files), [(from_hex([pdq(picture).hex for picture in pictures]), numbers)], indexed=indexed)
        fingerprints = ["sha256", "pixels", "pdq"]
        about: dict[str, Any] = {"encoder": None, "sketches": None, "calibration": None}
        if encoder is not None:
            fingerprints.append("embedding")
            vectors = embed(encoder, pictures)
            made.vectors(len(files), encoder.id.dimension, [(np.arange(len(files)), vectors, numbers)])
            made.whole("background", vectors)
            made.whole("background_cluster", numbers)
            made.whole("null_scores", np.linspace(-0.5, 0.3, 99))
            about["encoder"] = {"name": encoder_name, "identity": str(encoder.id), "dimension": encoder.id.dimension}
            about["sketches"] = {"recall": 1.0}
            about["calibration"] = {"tail": None, "null_pictures": 99}
        if renditions:
            kept = [(n, encoded(pictures[n], PixelLimits())) for n in numbers.tolist()[::-1][:renditions]]
            count, size = made.renditions(kept)
            about["renditions"] = {"renditions": count, "bytes": size, "pixels": {"likeness": 0.95}, "alterations": {}}
        made.finish(
            {
                "version": {"number": 1, "published_at": "2026-01-01T00:00:00", "lance_versions": {}},
                "policy": asdict(policy),
                "limits": limits or {"pixels": 1_000_000, "member_bytes": 1_000_000},
                "views": {"scales": [0.5], "flips": "whole"},
                "fingerprints": fingerprints,
                "counts": {
                    "rows": sum(range(1, len(files) + 1)),
                    "clusters": len(files),
                    "pictures": len(files),
                    "searchable": 2 * sum(range(1, len(files) + 1)),
                    "coverage": 0.5,
                },
                "coverage": [],
                "methods": [],
                **about,
            },
            key and private_key(key),
        )
    return folder
