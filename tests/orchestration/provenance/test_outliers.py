"""How unusual a picture is does not depend on where its vector is stored, which the history of a warehouse decides."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.facts import SCHEMAS, Facts
from orchestration.fingerprints.picture_index import read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.provenance.outliers import outlier_rows
from orchestration.settings.sections import Compute
from transforms.encoders import EncoderId

_COUNT, _DIMENSION = 23, 512
_ENCODER = EncoderId("test", "0" * 64, "none", _DIMENSION, "fp32")


def scored(folder: Path, stored: np.ndarray) -> pa.Table:
    """Score pictures whose vectors are stored in an order."""
    vectors = np.random.default_rng(5).standard_normal((_COUNT, _DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    facts, columns = Facts(folder), dict.fromkeys(SCHEMAS["image_fingerprints"].names)
    rows = [
        columns
        | {"sample_id": at, "status": "ok", "width": 2, "height": 2, "pdq": at.to_bytes(32)}
        | {"sha256": at.to_bytes(32), "pixel_sha256": (at * 7919 % 65_536).to_bytes(32)}
        for at in range(_COUNT)
    ]
    facts["image_fingerprints"].upsert(pa.Table.from_pylist(rows, SCHEMAS["image_fingerprints"]))
    facts["copy_embeddings"].reset(str(_ENCODER), _DIMENSION)
    table = facts.embeddings("copy_embeddings", str(_ENCODER), _DIMENSION)
    held = [{"sample_id": int(at), "shard_id": 0, "vector": vectors[at].tolist()} for at in stored]
    table.append(pa.Table.from_pylist(held, table.schema).to_batches())
    return outlier_rows(read_index(facts, _ENCODER, usable_pictures(facts, 10**9)), [0, 1], 9, 7, Compute())


def test_the_score_of_a_picture_is_the_same_wherever_its_vector_is_stored(tmp_path: Path) -> None:
    first = scored(tmp_path / "0", np.arange(_COUNT))
    assert first["neighbours"].to_pylist() == [7] * len(first)
    for seed in range(1, 5):
        assert scored(tmp_path / str(seed), np.random.default_rng(seed).permutation(_COUNT)).equals(first)
