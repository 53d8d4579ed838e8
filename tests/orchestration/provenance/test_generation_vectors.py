"""Embedding generations by meaning: each once, those that cannot be read again, those that are gone no more."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from conftest import encoded, picture

from orchestration.facts import Facts
from orchestration.provenance.meaning import generation_vectors
from orchestration.provenance.meaning.generation_vectors import EmbeddedCounts
from transforms.encoders import EncoderId, Prepared, Vectors
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import Rules
from transforms.pictures import Pixels

RULES = Rules(max_pixels=1_000_000, member_bytes=1_000_000, pdq_quality=50)


class MeanColour:
    """An encoder of the mean colour."""

    def __init__(self, weights: str) -> None:
        self.id = EncoderId("mean", weights, "none", 3, "float32")
        self.embedded = 0

    def prepare(self, picture: Pixels) -> Prepared:
        return picture.mean(axis=(0, 1), keepdims=True).astype(np.uint8)

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        self.embedded += len(prepared)
        rows = np.stack([each.ravel() for each in prepared]).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def generations(folder: Path, pixels: dict[str, str]) -> pa.Table:
    columns = {
        "generation_id": list(pixels),
        "path": [str(folder / name) for name in pixels],
        "pixel_sha256": list(pixels.values()),
        "recipe": ["of the copy embedding"] * len(pixels),
    }
    return pa.table(columns)


def test_generations_are_embedded_once_and_again_if_they_or_the_encoder_change(tmp_path: Path) -> None:
    facts, encoder = Facts(tmp_path / "facts"), MeanColour("one")
    for seed, name in enumerate("abc"):
        (tmp_path / name).write_bytes(encoded(picture(seed), "PNG"))
    (tmp_path / "broken").write_bytes(b"no picture")

    def update(shown: dict[str, str], by: MeanColour = encoder) -> EmbeddedCounts:
        table = generations(tmp_path, shown)
        counts = generation_vectors.update(facts, by, RULES, WorkPace(2, 1), table)
        kept = generation_vectors.embedded(facts, by, table)
        assert kept.num_rows == facts["generation_meanings"].dataset().count_rows()
        return counts

    shown = {"a": "1", "b": "2", "broken": "3", "gone": "4"}
    assert update(shown) == EmbeddedCounts(2, 2)
    assert update(shown) == EmbeddedCounts(0, 2), "what could not be read is tried again, and nothing else"
    assert update({"a": "1", "b": "other pixels", "c": "5"}) == EmbeddedCounts(2, 0)
    assert encoder.embedded == 4 and update({"b": "other pixels"}) == EmbeddedCounts(0, 0)
    other = MeanColour("two")
    assert update({"b": "other pixels"}, other) == EmbeddedCounts(1, 0) and other.embedded == 1
    [vector] = facts["generation_meanings"].read()["vector"].to_pylist()
    expected = other.embed([other.prepare(np.asarray(picture(1)))])[0]
    np.testing.assert_allclose(vector, expected, atol=1e-6)
