"""The best scores of each generation against a sample of training pictures: what it has in common with many.

What belongs here: finding due generations, and scoring them. What does not: the sample, shared with calibration
(`matches/null_distribution.py`).
"""

from collections.abc import Sequence
from itertools import batched

import numpy as np
import pyarrow as pa

from orchestration.duplicates.members import clusters_digest
from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.matches.null_distribution import CODE, Background
from orchestration.matches.search import GenerationSearch, read_search
from orchestration.progress import track
from orchestration.settings import Settings
from transforms.encoders import EncoderId
from transforms.fingerprints.views import View

_BATCH = 256  # generations searched at once
_DELETED = 500  # generations in a filter


def update(facts: Facts, encoder: EncoderId | None, views: Sequence[View], settings: Settings) -> int:
    """Score what is due if anything changed. Return the count of generations scored.

    Args:
        facts: The fact tables; `generation_backgrounds` is written.
        encoder: Of all vectors. None: there are no scores.
        views: The parts of a generation that are searched with.
        settings: All of them.
    """
    table, generations = facts["generation_backgrounds"], facts["generation_fingerprints"]
    size = settings.limits.null_sample
    training = (fingerprint_versions(facts, str(encoder) if encoder else None), clusters_digest(facts))
    made_by = recipe("background state", CODE, training, generations.version, size, views)
    if table.recipe == made_by:
        return 0
    scored, readable = 0, generations.dataset().count_rows(filter="status <> 'failed'")
    if encoder and readable:
        scored = score(read_search(facts, encoder, views, settings, readable), size)
    else:
        table.clear()
    table.note_recipe(made_by)
    return scored


def score(search: GenerationSearch, count: int) -> int:
    """Score new generations, or all of them if the sample changed. Return the count of scored ones.

    In a large training set, growth rarely changes the sample.

    Args:
        search: The search with the training pictures.
        count: Count of sampled training pictures.
    """
    table, index = search.facts["generation_backgrounds"], search.pictures
    sampled = index.sample(count)
    # with the encoder: another one gives the same picture another vector
    digests, ids = index.digests[sampled].tobytes().hex(), index.ids[sampled].tolist()
    sample = recipe("background sample", digests, ids, str(search.encoder), search.views)
    rows = search.facts["generation_fingerprints"].read(["generation_id", "recipe"], "status <> 'failed'").to_pylist()
    made_by = {row["generation_id"]: recipe("generation background", CODE, sample, row["recipe"]) for row in rows}
    stored = {row["generation_id"]: row["recipe"] for row in table.read(["generation_id", "recipe"]).to_pylist()}
    due = sorted(name for name, made in made_by.items() if stored.get(name) != made)
    background = Background(index, count)
    for names in batched(track(due, "background of generations", len(due)), _BATCH):
        scored = [
            {
                "generation_id": name,
                "recipe": made_by[name],
                "background_ids": index.ids[hits.position].tolist(),
                "background_scores": hits.score.astype(np.float64).tolist(),
            }
            for name, hits in zip(names, background.scores(search.view_vectors(names)), strict=True)
        ]
        table.upsert(pa.Table.from_pylist(scored, SCHEMAS["generation_backgrounds"]))
    for gone in batched(sorted(stored.keys() - made_by.keys()), _DELETED):
        table.delete(is_in("generation_id", gone))
    return len(due)
