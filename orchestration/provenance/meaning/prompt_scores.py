"""How well a prompt fits its generation, and its candidates: the facts `prompt_scores` and `source_prompt_scores`.

What belongs here: embedding each different prompt once, and the cosines. What does not: candidates by their caption
(`matches/prompt_candidates.py`), the words that prompt and captions share (`sql/provenance/prompt_scores.sql`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import SCHEMAS, Facts, FactTable
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import EMBEDDINGS, SEMANTIC
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.progress import track
from orchestration.provenance.meaning import generation_vectors
from transforms.encoders import OpenClip, Vectors
from transforms.fingerprints.embeddings import vector_column

CODE = 1  # raise when the same embeddings would give other scores
TABLES = ("prompt_scores", "source_prompt_scores", "prompt_embeddings")
_EMBEDDED = 4_096  # prompts a commit: what a killed run loses
_PAIRS = 65_536  # scored at once
_KEYS = 1_000  # in one filter
_READ = (generation_vectors.TABLE, EMBEDDINGS[SEMANTIC], "match_evidence")


def update(facts: Facts, encoder: OpenClip) -> int:
    """Score every generation that has a prompt and an embedding. Return the count of prompts that were embedded.

    Args:
        facts: The fact tables; `generation_meanings` and `match_evidence` are up to date.
        encoder: Of pictures and texts.
    """
    rows = facts["generation_fingerprints"].read(["generation_id", "prompt"], "prompt is not null").to_pylist()
    prompts = {row["generation_id"]: row["prompt"] for row in rows}
    for name in (generation_vectors.TABLE, "prompt_embeddings"):
        facts[name].reset(str(encoder.id), encoder.id.dimension)
    versions = [facts[name].version for name in _READ]
    made_by = recipe("prompt scores", CODE, str(encoder.id), sorted(prompts.items()), versions)
    scores, of_sources = facts["prompt_scores"], facts["source_prompt_scores"]
    if scores.recipe == made_by == of_sources.recipe:
        return 0
    table = facts.embeddings("prompt_embeddings", str(encoder.id), encoder.id.dimension)
    new = _embed(table, encoder, sorted(set(prompts.values())))
    vectors = _prompt_vectors(table)
    scores.replace(_scores(facts, encoder, prompts, vectors), made_by)
    of_sources.replace(_source_scores(facts, encoder, prompts, vectors), made_by)
    return new


def key(prompt: str) -> str:
    """Return the SHA-256 of a prompt, in hexadecimal."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


def _embed(table: FactTable, encoder: OpenClip, prompts: Sequence[str]) -> int:
    """Embed new prompts, and delete those that no generation has. Return the count of new ones."""
    by_key = {key(prompt): prompt for prompt in prompts}
    stored = set(table.read(["prompt_key"])["prompt_key"].to_pylist())
    for gone in batched(sorted(stored - by_key.keys()), _KEYS):
        table.delete(is_in("prompt_key", gone))
    new = sorted(by_key.keys() - stored)
    for keys in batched(track(new, "embedding prompts", len(new)), _EMBEDDED):
        vectors = vector_column(encoder.embed_captions([by_key[each] for each in keys]))
        table.append([pa.record_batch([pa.array(keys, pa.string()), vectors], schema=table.schema)])
    return len(new)


def _prompt_vectors(table: FactTable) -> Mapping[str, npt.NDArray[np.float32]]:
    rows = table.read(["prompt_key", "vector"])
    vectors = rows["vector"].combine_chunks().flatten().to_numpy()
    return dict(zip(rows["prompt_key"].to_pylist(), vectors.reshape(len(rows), -1), strict=True)) if len(rows) else {}


def _scores(
    facts: Facts, encoder: OpenClip, prompts: Mapping[str, str], vectors: Mapping[str, npt.NDArray[np.float32]]
) -> Iterator[pa.Table]:
    table = facts.embeddings(generation_vectors.TABLE, str(encoder.id), encoder.id.dimension)
    for batch in table.scan(["generation_id", "vector"]):
        pictures = batch.column("vector").flatten().to_numpy().reshape(len(batch), -1)
        named = [
            (name, vectors[key(prompts[name])], picture)
            for name, picture in zip(batch.column("generation_id").to_pylist(), pictures, strict=True)
            if name in prompts
        ]
        rows = [{"generation_id": name, "score": float(prompt @ picture)} for name, prompt, picture in named]
        yield pa.Table.from_pylist(rows, SCHEMAS["prompt_scores"])


def _source_scores(
    facts: Facts, encoder: OpenClip, prompts: Mapping[str, str], vectors: Mapping[str, npt.NDArray[np.float32]]
) -> Iterator[pa.Table]:
    ids, stored = _training(facts, encoder)
    for batch in facts["match_evidence"].scan(["generation_id", "sample_id"]):
        for start in range(0, len(batch), _PAIRS):
            part = batch.slice(start, _PAIRS)
            names, samples = part.column("generation_id").to_pylist(), part.column("sample_id").to_numpy()
            at = np.searchsorted(ids.values, samples).clip(max=max(0, len(ids.values) - 1))
            pairs = [
                (name, int(sample), int(ids.positions[place]))
                for name, sample, place in zip(names, samples, at.tolist(), strict=True)
                if name in prompts and len(ids.values) and ids.values[place] == sample
            ]
            pictures = _taken(stored, [position for *_, position in pairs])
            rows = [
                {"generation_id": name, "sample_id": sample, "score": float(vectors[key(prompts[name])] @ picture)}
                for (name, sample, _), picture in zip(pairs, pictures, strict=True)
            ]
            yield pa.Table.from_pylist(rows, SCHEMAS["source_prompt_scores"])


class _Rows:
    """The training rows that have a vector: ids in order, and the position of the vector of each."""

    def __init__(self, ids: npt.NDArray[np.uint64]) -> None:
        self.positions = np.argsort(ids, kind="stable")
        self.values = ids[self.positions]


def _training(facts: Facts, encoder: OpenClip) -> tuple[_Rows, StoredVectors]:
    table = facts.embeddings(EMBEDDINGS[SEMANTIC], str(encoder.id), encoder.id.dimension).dataset()
    ids = table.to_table(columns=["sample_id"])["sample_id"].to_numpy()
    return _Rows(ids), StoredVectors(table.uri, table.version, np.arange(len(ids)), encoder.id.dimension)


def _taken(stored: StoredVectors, positions: Sequence[int]) -> Vectors:
    distinct, back = np.unique(np.array(positions, np.int64), return_inverse=True)
    return stored.take(distinct)[back.ravel()]
