"""Did the model memorize it? The tests of the literature, as assets of the stage `matches`.

What belongs here: what is due, and committing what was measured. What does not: comparing the generations of a prompt
(`provenance/cliques.py`), measuring generations beside their sources (`provenance/memorization.py`), the formulas
(`transforms/provenance/memorization.py`), thresholds and rates (`sql/provenance/`).
"""

from itertools import batched

import dagster as dg
import numpy as np
import pyarrow as pa

from orchestration.defs.fingerprints import generation_fingerprints
from orchestration.defs.matches import match_candidates
from orchestration.facts.recipes import recipe
from orchestration.progress import track
from orchestration.provenance import cliques, memorization, picture_index
from orchestration.provenance.picture_index import Known
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from transforms.matches import null_distribution

CODE = 1  # raise when the same facts would give other rows
_COMMIT = 200  # prompts
_READ = (
    "generation_fingerprints",
    "generation_embeddings",
    "match_evidence",
    "image_fingerprints",
    "copy_embeddings",
    "cluster_members",
)


@dg.asset(
    group_name="matches",
    kinds={"lancedb"},
    owners=["team:safety-research"],
    deps=[generation_fingerprints],
    pool="cpu",
)
def prompt_cliques(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """The largest clique of near generations of every prompt; a prompt whose generations stay is not compared again."""
    table = warehouse.facts["prompt_cliques"]
    due = cliques.due(warehouse)
    rows = track(cliques.compared(warehouse, due), "comparing prompts", len(due)) if due else ()
    failed = 0
    for some in batched(rows, _COMMIT):
        failed += sum(row["failure"] is not None for row in some)
        table.upsert(pa.Table.from_pylist(list(some), table.schema))
    if failed:
        context.log.warning("%d prompts have generations that cannot be read; the next run tries again", failed)
    return dg.MaterializeResult(metadata={**asset_metadata.fact(table), "compared now": len(due), "failed now": failed})


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=[match_candidates],
    pool="cpu",
)
def memorized_pairs(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Each generation beside each source that pixels confirm, by the measures of the papers; measured once."""
    table, counts = warehouse.facts["memorized_pairs"], warehouse.facts["eidetic_counts"]
    made_by = recipe(
        "memorized", CODE, memorization.CODE, _versions(warehouse), warehouse.settings.memorization.model_dump()
    )
    measured = failed = 0
    if {table.recipe, counts.recipe} != {made_by}:
        rows = memorization.confirmed(warehouse)
        before = memorization.keep_only(table, ((row["generation_id"], row["sample_id"]) for row in rows))
        counted = memorization.keep_only(counts, ((row["sample_id"],) for row in rows))
        if rows:
            known = picture_index.known(warehouse)
            measured, failed = _measure(warehouse, known, rows, before)
            failed += _count(warehouse, known, sorted({row["sample_id"] for row in rows}), counted)
        for each in (table, counts):
            each.forget_recipe() if failed else each.note_recipe(made_by)
    if failed:
        context.log.warning("%d measurements lack a picture; the next run tries again", failed)
    return dg.MaterializeResult(metadata={**asset_metadata.fact(table), "measured now": measured, "failed now": failed})


def _versions(warehouse: Warehouse) -> list[int]:
    return [warehouse.facts[name].version for name in _READ]


def _measure(warehouse: Warehouse, known: Known, rows: list[dict], before: dict[tuple, str]) -> tuple[int, int]:
    """Measure the pairs that are new or changed; return how many, and how many of these could not be."""
    table, measuring = warehouse.facts["memorized_pairs"], memorization.Measuring(warehouse, known)
    measured = failed = 0
    some = memorization.pairs(warehouse, known, rows)
    for pairs in track(some, "measuring memorization", len(rows), len):
        due = [p for p in pairs if before.get((p.generation["generation_id"], p.sample_id)) != p.made_by]
        if due:
            found = list(measuring.measured(due))
            table.upsert(pa.Table.from_pylist(found, table.schema))
            measured, failed = measured + len(due), failed + sum("failure" in row for row in found)
    return measured, failed


def _count(warehouse: Warehouse, known: Known, sources: list[int], counted: dict[tuple, str]) -> int:
    """Count the rows near each source that is new or changed; return how many could not all be compared."""
    table, measuring = warehouse.facts["eidetic_counts"], memorization.Measuring(warehouse, known)
    due = [source for source in sources if counted.get((source,)) != measuring.eidetic_recipe(source)]
    failed = 0
    for some in batched(map(measuring.eidetic, due), _COMMIT):
        table.upsert(pa.Table.from_pylist(list(some), table.schema))
        failed += sum(row["failure"] is not None for row in some)
    return failed


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=[match_candidates],
    pool="cpu",
)
def outlier_scores(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """How unusual the confirmed sources are, and a sample of training pictures to rank them among."""
    table, cut = warehouse.facts["outlier_scores"], warehouse.settings.memorization
    chosen = cut.outlier_neighbours, cut.outlier_sample
    sources = warehouse.facts["match_evidence"].read(["sample_id"], memorization.CONFIRMED)["sample_id"].unique()
    made_by = recipe("outliers", CODE, sorted(sources.to_pylist()), _versions(warehouse)[3:], chosen)
    if table.recipe != made_by:
        table.replace([_outliers(warehouse, sources.to_pylist())] if len(sources) else [], made_by)
    return dg.MaterializeResult(metadata={**asset_metadata.fact(table)})


def _outliers(warehouse: Warehouse, sources: list[int]) -> pa.Table:
    known, cut = picture_index.known(warehouse), warehouse.settings.memorization
    heads = np.unique(known.head)
    sample = heads[null_distribution.smallest(known.pictures.pixel_digests[heads], cut.outlier_sample)]
    asked = np.union1d(sample, known.head[[known.place(source) for source in sources]])
    scores, neighbours = known.outliers(asked, cut.outlier_neighbours)
    asked = asked[: len(scores)]  # none, where no other picture is there to be far from
    ids = known.pictures.ids[known.pictures.distinct[asked]]
    columns = {"cluster_id": ids, "score": scores, "neighbours": np.full(len(ids), neighbours, np.int64)}
    return pa.table(columns | {"sampled": np.isin(asked, sample)})
