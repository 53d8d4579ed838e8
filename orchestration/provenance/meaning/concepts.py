"""Concepts of the training pictures, and the concept of each generation: three facts of one clustering.

What belongs here: when concepts are found again, and writing them. What does not: clustering
(`transforms/provenance/concepts.py`), names, sizes and licences (`sql/provenance/concepts.sql`).

Concepts are found again when the training pictures change: a picture more may move them all. One that stays nearest to
where it was keeps its number. Vectors are streamed; what is held is a sample of them, and 16 bytes a picture.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import SEMANTIC
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.fingerprints.stored_vectors import read_vectors
from orchestration.provenance.meaning import generation_vectors
from orchestration.settings import Settings
from transforms.encoders import Encoder, Vectors
from transforms.fingerprints.embeddings import vector_column
from transforms.provenance import concepts

CODE = 1  # raise when the same embeddings would give other concepts
SEED = 17
TABLES = ("concept_members", "concept_centres", "generation_concepts")
_MOST = 4_096  # concepts, unless the settings say more
_CHUNK = 1 << 18  # rows


def update(facts: Facts, encoder: Encoder, settings: Settings) -> int:
    """Find concepts again if the training pictures changed, and place the generations. Return the count of concepts.

    Args:
        facts: The fact tables; `generation_meanings` is up to date.
        encoder: The semantic encoder.
        settings: All of them.

    Raises:
        EncoderMismatch: If a shard was embedded by another encoder.
        dg.Failure: If a picture has no embedding.
    """
    members = facts["concept_members"]
    training = fingerprint_versions(facts, str(encoder.id), SEMANTIC)
    made_by = recipe("concepts", CODE, SEED, settings.concepts.count, *training)
    facts["concept_centres"].reset(str(encoder.id), encoder.id.dimension)
    if members.recipe != made_by:
        _find(facts, encoder, settings, made_by)
    centres = _centres(facts, encoder)
    placed_by = recipe("generation concepts", CODE, made_by, facts[generation_vectors.TABLE].version)
    if facts["generation_concepts"].recipe != placed_by:
        facts["generation_concepts"].replace(_generations(facts, encoder, centres), placed_by)
    return len(centres)


def _find(facts: Facts, encoder: Encoder, settings: Settings, made_by: str) -> None:
    pictures = usable_pictures(facts, settings.memory.pictures)
    vectors, owner = read_vectors(facts, encoder.id, pictures, SEMANTIC)
    ids = pictures.ids[pictures.distinct[owner]]
    count = settings.concepts.count
    count = min(len(vectors), _MOST, round(len(vectors) ** 0.5)) if count is None else min(len(vectors), count)
    centres = np.empty((0, encoder.id.dimension), np.float32)
    if count:
        found = concepts.find_concepts(vectors, count, SEED, settings.memory.joins)
        centres = concepts.in_earlier_order(found, _centres(facts, encoder))
        label, score = concepts.placed(vectors, centres)
        nearest = concepts.redundancy(vectors, label, score)
    columns = (ids, label, score, nearest) if count else (ids[:0],) * 4
    table = facts.embeddings("concept_centres", str(encoder.id), encoder.id.dimension)
    facts["concept_members"].forget_recipe()
    centred = {"concept_id": np.arange(count, dtype=np.int32), "vector": vector_column(centres)}
    table.replace([pa.table(centred).cast(table.schema)], made_by)
    facts["concept_members"].replace(_members(*columns), made_by)


def _members(ids: np.ndarray, label: np.ndarray, score: np.ndarray, nearest: np.ndarray) -> Iterator[pa.Table]:
    for start in range(0, len(ids), _CHUNK):
        part = slice(start, start + _CHUNK)
        first = np.isneginf(nearest[part])
        yield pa.table(
            {
                "sample_id": ids[part],
                "concept_id": label[part],
                "similarity": score[part].astype(np.float64),
                "redundancy": pa.array(nearest[part].astype(np.float64), mask=first),
            },
            SCHEMAS["concept_members"],
        )


def _centres(facts: Facts, encoder: Encoder) -> Vectors:
    table = facts.embeddings("concept_centres", str(encoder.id), encoder.id.dimension)
    rows = table.read(["concept_id", "vector"]).sort_by("concept_id")
    return np.array(rows["vector"].combine_chunks().flatten(), np.float32).reshape(-1, encoder.id.dimension)


def _generations(facts: Facts, encoder: Encoder, centres: Vectors) -> Iterator[pa.Table]:
    """Yield the concept of each generation, in batches as they are stored."""
    table = facts.embeddings(generation_vectors.TABLE, str(encoder.id), encoder.id.dimension)
    for batch in table.scan(["generation_id", "vector"]) if len(centres) else ():
        vectors = np.array(batch.column("vector").flatten(), np.float32).reshape(len(batch), -1)
        label, score = concepts.placed(vectors, centres)
        yield pa.table(
            {"generation_id": batch.column("generation_id"), "concept_id": label, "similarity": score.astype(float)},
            SCHEMAS["generation_concepts"],
        )
