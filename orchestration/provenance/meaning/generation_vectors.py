"""The semantic embedding of each generation: the fact `generation_meanings`.

What belongs here: which generations are due, reading and embedding them. What does not: their hashes and copy
embeddings (`fingerprints/generations.py`), searching with them (`provenance/meaning/related.py`).

A generation is named by its pixels here, so that no other encoder and no other view of the search makes it due again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import Any

import numpy as np
import pyarrow as pa

from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import SEMANTIC
from orchestration.progress import track
from transforms.dumps.members import ArchiveError
from transforms.encoders import Encoder, Prepared, Vectors, full_call_of
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.embeddings import vector_column
from transforms.fingerprints.feed import Feed
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.views import WHOLE, View
from transforms.generations import addresses

CODE = 1  # raise when the same pixels would have another embedding
WHOLE_VIEW = View("whole", WHOLE)
_FORGOTTEN = 500  # generations in one filter
TABLE = "generation_meanings"


@dataclass(frozen=True)
class EmbeddedCounts:
    """Counts of a run: generations that were embedded, and those that could not be read."""

    embedded: int = 0
    failed: int = 0


def update(facts: Facts, encoder: Encoder, rules: Rules, pace: WorkPace, generations: pa.Table) -> EmbeddedCounts:
    """Embed new and changed generations, and delete the vectors of those that no longer exist.

    Args:
        facts: The fact tables.
        encoder: The semantic encoder.
        rules: What pictures must satisfy.
        pace: The size of a batch and the number of threads.
        generations: All readable generations, as `matches.search.readable_generations` returns them.
    """
    facts[TABLE].reset(str(encoder.id), encoder.id.dimension)
    table = facts.embeddings(TABLE, str(encoder.id), encoder.id.dimension)
    due_by = recipes(encoder, generations)
    done = dict(zip(*(table.read(["generation_id", "recipe"])[name].to_pylist() for name in _NOTED), strict=True))
    for gone in batched(sorted(done.keys() - due_by.keys()), _FORGOTTEN):
        table.delete(is_in("generation_id", gone))
    rows = generations.select(["generation_id", "path"]).to_pylist()
    due = [row for row in rows if done.get(row["generation_id"]) != due_by[row["generation_id"]]]
    feed = Feed(rules, {SEMANTIC: encoder}, (WHOLE_VIEW,), expected=len(due))
    pace, failed = pace.by(feed.files), 0
    paths = feed.handfuls((row["path"] for row in due), pace.workers)
    read = work_ahead(partial(_prepared, feed), paths, pace)
    prepared = track((each for some in read for each in some), "embedding generations by meaning", len(due))
    size = max(pace.batch, full_call_of(encoder))
    batches = batched(zip(due, prepared, strict=True), size)
    for usable, vectors, unread in work_ahead(partial(_embedded, encoder), batches, WorkPace(1, 1)):
        failed += unread
        if usable:
            ids = [generation_id for generation_id, _ in usable]
            columns = {
                "generation_id": pa.array(ids, pa.string()),
                "view": pa.array([WHOLE_VIEW.name] * len(ids)),
                "recipe": pa.array([due_by[each] for each in ids], pa.string()),
                "vector": vector_column(vectors),
            }
            table.upsert(pa.table(columns).select(table.schema.names))
    return EmbeddedCounts(len(due) - failed, failed)


type _Read = tuple[dict[str, Any], Prepared | None]


def _embedded(encoder: Encoder, batch: Sequence[_Read]) -> tuple[list[tuple[str, Prepared]], Vectors, int]:
    """Return the ids and inputs that can be read, their vectors, and how many cannot; while others are committed."""
    usable = [(row["generation_id"], picture) for row, picture in batch if picture is not None]
    inputs = [picture for _, picture in usable]
    vectors = encoder.embed(inputs) if inputs else np.empty((0, encoder.id.dimension), np.float32)
    return usable, vectors, len(batch) - len(usable)


_NOTED = ("generation_id", "recipe")


def recipes(encoder: Encoder, generations: pa.Table) -> dict[str, str]:
    """Return the recipe of each generation's embedding.

    Args:
        encoder: The semantic encoder.
        generations: With `generation_id` and `pixel_sha256`.
    """
    named = zip(generations["generation_id"].to_pylist(), generations["pixel_sha256"].to_pylist(), strict=True)
    return {each: recipe("generation meaning", CODE, pixels, str(encoder.id)) for each, pixels in named}


def embedded(facts: Facts, encoder: Encoder, generations: pa.Table) -> pa.Table:
    """Return the generations that have a current embedding, with its recipe as theirs.

    Args:
        facts: The fact tables.
        encoder: The semantic encoder.
        generations: All readable generations.
    """
    table = facts.embeddings(TABLE, str(encoder.id), encoder.id.dimension)
    noted = {tuple(row.values()) for row in table.read(_NOTED).to_pylist()}
    current = recipes(encoder, generations)
    names = generations["generation_id"].to_pylist()
    at = generations.schema.get_field_index("recipe")
    renamed = generations.set_column(at, "recipe", pa.array([current[name] for name in names], pa.string()))
    return renamed.filter(pa.array([(name, current[name]) in noted for name in names], pa.bool_()))


def _prepared(feed: Feed, paths: Sequence[str]) -> list[Prepared | None]:
    """Return the encoder's input of each generation, or None for one that cannot be read now."""
    data = [_bytes(path) for path in paths]
    fed = iter(feed([each for each in data if each is not None]))
    inputs = [next(fed).inputs.get(SEMANTIC, ()) if each is not None else () for each in data]
    return [each[0] if len(each) else None for each in inputs]


def _bytes(path: str) -> bytes | None:
    try:
        return addresses.read(path)
    except (OSError, ArchiveError):
        return None
