"""Did the model memorize it? The tests of the literature, as assets of the stage `provenance`.

What belongs here: deciding what is due, and committing results. What does not: comparing the generations of a prompt
(`provenance/cliques.py`), measuring generations against their sources (`provenance/memorization.py`), scoring how
unusual sources are (`provenance/outliers.py`), the formulas (`transforms/provenance/memorization.py`), thresholds and
rates (`sql/provenance/`).
"""

from itertools import batched

import dagster as dg
import pyarrow as pa

from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes
from orchestration.fingerprints.picture_index import read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.progress import track
from orchestration.provenance import cliques, memorization
from orchestration.provenance.memorization import MemorizationMeasures, count_eidetic, keep_only, measure_pairs
from orchestration.provenance.outliers import outlier_rows
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count

CODE = 2  # raise when the same facts would give other rows
_COMMIT = 200  # prompts
_GENERATIONS = ("generation_fingerprints", "generation_embeddings", "match_evidence")
_TRAINING = ("image_fingerprints", "copy_embeddings", "cluster_members")


@dg.asset(
    group_name="provenance",
    kinds={"lancedb"},
    owners=["team:safety-research"],
    deps=["generation_fingerprints"],
    pool="cpu",
)
@explained
def prompt_cliques(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """The largest clique of near generations of every prompt. Only prompts whose generations changed are compared."""
    facts, cut = warehouse.facts, warehouse.settings.memorization
    table, due = facts["prompt_cliques"], cliques.due(facts, cut)
    rows = cliques.compare(due, cut, warehouse.rules.bounds, warehouse.settings.compute)
    failed = 0
    for some in batched(track(rows, "comparing prompts", len(due)) if due else (), _COMMIT):
        failed += sum(row["failure"] is not None for row in some)
        table.upsert(pa.Table.from_pylist(list(some), table.schema))
    if failed:
        context.log.warning("generations of %s cannot be read; the next run tries again", count(failed, "prompt"))
    return asset_metadata.fact_result(facts, "prompt_cliques", {"compared now": len(due), "failed now": failed})


@dg.asset(
    group_name="provenance",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["match_candidates"],
    pool="cpu",
)
@explained
def memorized_pairs(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Each generation with each source that pixels confirm, measured once by the measures of the papers."""
    facts, cut = warehouse.facts, warehouse.settings.memorization
    table, counts = facts["memorized_pairs"], facts["eidetic_counts"]
    versions = [facts[name].version for name in (*_GENERATIONS, *_TRAINING)]
    made_by = recipe("memorized", CODE, memorization.CODE, versions, cut.model_dump())
    recipes = PixelRecipes.of(facts, made_by)
    measured = failed = waiting = 0
    if not recipes.hold((table, counts)):
        rows = memorization.confirmed_pairs(facts)
        sources = sorted({row["sample_id"] for row in rows})
        stored = keep_only(table, ((row["generation_id"], row["sample_id"]) for row in rows))
        counted = keep_only(counts, ((source,) for source in sources))
        if rows:
            index = read_index(facts, warehouse.copy_encoder, usable_pictures(facts, warehouse.memory.pictures))
            how = warehouse.training_picture, cut, warehouse.settings.compute
            measures = MemorizationMeasures(facts["small_pictures"], index, *how)
            measured, failed = measure_pairs(facts, index, measures, cut, rows, stored)
            failed += count_eidetic(counts, measures, sources, counted)
            failed, waiting = failed - measures.waiting, measures.waiting
        for each in (table, counts):
            each.forget_recipe() if failed else each.note_recipe(recipes.after(failed, waiting))
    if failed:
        context.log.warning("no picture for %s; the next run tries again", count(failed, "measurement"))
    told = {"measured now": measured, "failed now": failed, "waiting for image dumps": waiting}
    return asset_metadata.fact_result(facts, "memorized_pairs", told)


@dg.asset(
    group_name="provenance",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["match_candidates"],
    pool="cpu",
)
@explained
def outlier_scores(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """How unusual the confirmed sources are, and a sample of training pictures to rank them among."""
    facts, cut = warehouse.facts, warehouse.settings.memorization
    table = facts["outlier_scores"]
    pairs = facts["match_evidence"].read(["sample_id"], memorization.CONFIRMED)
    sources = sorted(pairs["sample_id"].unique().to_pylist())
    training = [facts[name].version for name in _TRAINING]
    encoder = warehouse.copy_encoder
    rules = [(cut.outlier_neighbours, cut.outlier_sample), *(() if encoder else ("no encoder",))]
    made_by = recipe("outliers", CODE, sources, training, *rules)
    if table.recipe != made_by:
        rows = []
        if sources and encoder:
            index = read_index(facts, encoder, usable_pictures(facts, warehouse.memory.pictures))
            how = cut.outlier_sample, cut.outlier_neighbours, warehouse.settings.compute
            rows = [outlier_rows(index, sources, *how)]
        table.replace(rows, made_by)
    return asset_metadata.fact_result(facts, "outlier_scores")
