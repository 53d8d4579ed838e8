"""Did the model memorize it? The tests of the literature, as assets of the stage `provenance`.

What belongs here: the assets. What does not: comparing the generations of a prompt (`provenance/cliques.py`), measuring
generations against their sources (`provenance/memorization.py`), scoring how unusual sources are
(`provenance/outliers.py`), the formulas (`transforms/provenance/memorization.py`), thresholds and rates
(`sql/provenance/`).
"""

import dagster as dg

from orchestration.provenance import cliques, memorization, outliers
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count


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
    facts, cut, compute = warehouse.facts, warehouse.settings.memorization, warehouse.settings.compute
    compared, failed = cliques.update(facts, cut, warehouse.rules.bounds, compute)
    if failed:
        context.log.warning("generations of %s cannot be read; the next run tries again", count(failed, "prompt"))
    return asset_metadata.fact_result(facts, "prompt_cliques", {"compared now": compared, "failed now": failed})


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
    facts, settings = warehouse.facts, warehouse.settings
    how = settings.memorization, settings.memory, settings.compute
    counts = memorization.update(facts, warehouse.copy_encoder, warehouse.training_picture, *how)
    if counts.failed:
        context.log.warning("no picture for %s; the next run tries again", count(counts.failed, "measurement"))
    told = {
        "measured now": counts.measured,
        "failed now": counts.failed,
        "waiting for image dumps": counts.waiting,
    }
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
    facts, settings = warehouse.facts, warehouse.settings
    outliers.update(facts, warehouse.copy_encoder, settings.memorization, settings.memory, settings.compute)
    return asset_metadata.fact_result(facts, "outlier_scores")
