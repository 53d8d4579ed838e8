"""What could this generation come from? Assets of the stage `matches`.

What belongs here: the assets and the rows they write. What does not: which generations and pictures meet
(`matches/search.py`), gathering and comparing candidates (`matches/candidates.py`), p-values and verdicts
(`sql/matches/evidence.sql`).
"""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import batched, chain

import dagster as dg
import pyarrow as pa

from orchestration.defs.duplicates import cluster_members
from orchestration.defs.fingerprints import generation_fingerprints
from orchestration.defs.prompts import prompt_candidates
from orchestration.duplicates.members import clusters_digest
from orchestration.facts import SCHEMAS
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.matches import candidates as matched
from orchestration.matches import search
from orchestration.matches.candidates import Matches
from orchestration.matches.search import Pool
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from transforms.alignment.policy import Alignment
from transforms.matches.candidates import Candidate, Cut, Measured, Training

_ROWS = 512  # generations written at once
CODE = 4  # raise when the same fingerprints would give other matches


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch", "opencv"},
    owners=["team:safety-research"],
    deps=[cluster_members, generation_fingerprints, prompt_candidates],
    pool="gpu",
)
def match_candidates(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """The likely sources of every generation: by bytes, perceptual hash, embedding and prompt, compared by pixels.

    New generations are searched against all training pictures, new training pictures against all generations.
    """
    facts, cut = warehouse.facts, _cut(warehouse)
    candidates, evidence = facts["match_candidates"], facts["match_evidence"]
    made_by = _match_recipe(warehouse, cut)
    failed = facts["match_comparisons"].dataset().count_rows(filter="failure is not null")
    now, made = search.Now(), 0
    if {candidates.recipe, evidence.recipe} != {made_by} or failed:
        pool = training_pictures(warehouse)
        found = search.Search(warehouse, pool, cut)
        now = found.run()
        matches = Matches(warehouse, pool, found, cut)
        matches.compare()
        made, failed = matches.made, matches.failed
        if {candidates.recipe, evidence.recipe} != {made_by} or matches.changed:
            found_rows = (_candidate_rows(chain(*some)) for some in batched(matches.candidates(), _ROWS))
            candidates.replace(found_rows, made_by)
            measured = (_evidence_rows(warehouse, pool.training, *each) for each in matches.evidence())
            evidence.replace(map(pa.concat_tables, batched(measured, _ROWS)), made_by)
    if failed:
        context.log.warning("%d pairs could not be compared by pixels; the next run tries again", failed)
    return _matches_told(warehouse, now, made, failed)


def _matches_told(warehouse: Warehouse, now: search.Now, made: int, failed: int) -> dg.MaterializeResult:
    confirmed = warehouse.facts["match_evidence"].dataset().count_rows(filter="confirmed")
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(warehouse.facts["match_candidates"]),
            "confirmed by pixels": confirmed,
            "generations searched now": now.generations,
            "training pictures searched now": now.pictures,
            "compared by pixels now": made,
            "could not be compared": failed,
        }
    )


def _match_recipe(warehouse: Warehouse, cut: Cut) -> str:
    names = ("generation_fingerprints", "generation_embeddings", "prompt_candidates")
    versions = [warehouse.facts[name].version for name in names]
    rules = (cut, warehouse.pixel_limits, warehouse.views)
    codes = (CODE, search.CODE, matched.CODE)
    return recipe(
        "matches",
        codes,
        fingerprint_versions(warehouse.facts, warehouse.encoder_id(COPY)),
        clusters_digest(warehouse.facts),
        versions,
        rules,
    )


def _cut(warehouse: Warehouse) -> Cut:
    cut = warehouse.settings.thresholds
    return Cut(cut.pdq, cut.candidate, warehouse.settings.limits.neighbours)


def training_pictures(warehouse: Warehouse) -> Pool:
    """Read the different training pictures, but for their vectors, and the clusters they are in."""
    return Pool.read(warehouse, usable_pictures(warehouse.facts))


def _candidate_rows(found: Iterable[Candidate]) -> pa.Table:
    rows = [
        {
            "generation_id": c.generation_id,
            "sample_id": c.sample_id,
            "method": c.method,
            "score": c.score,
            **asdict(c.box),
        }
        for c in found
    ]
    return pa.Table.from_pylist(rows, SCHEMAS["match_candidates"])


def _laid(found: Alignment) -> dict[str, object]:
    names = ("mirrored", "aligned_distance", "inliers", "geometry", "cells", "agreement", "solid")
    return {
        **{name: getattr(found, name) for name in (*names, "masked_mse", "structural_similarity", "homography")},
        "aligned_tile_l2": found.tile_l2,
        "overlap_generation": found.overlap_a,
        "overlap_source": found.overlap_b,
        **{f"source_{side}": part for side, part in asdict(found.region_b).items()},
    }


def _evidence_rows(warehouse: Warehouse, training: Training, generation_id: str, measured: list[Measured]) -> pa.Table:
    limits = warehouse.pixel_limits
    rows = []
    for each in measured:
        found = each.alignment
        rows.append(
            {
                "generation_id": generation_id,
                "sample_id": int(training.ids[each.position]),
                "copy_score": each.copy_score,
                "pdq_distance": each.pdq_distance,
                "same_bytes": each.same_bytes,
                "same_pixels": each.same_pixels,
                "confirmed": found is not None and found.confirmed(limits),
                "whole": found is not None and found.whole(limits),
                **(_laid(found) if found else {}),
                "failure": each.failure,
                **asdict(each.box),
            }
        )
    return pa.Table.from_pylist(rows, SCHEMAS["match_evidence"])
