"""What could this generation come from? The asset `match_candidates`.

What belongs here: the asset, and what the UI shows of it. What does not: searching (`matches/search.py`), collecting,
comparing and measuring candidates (`matches/candidates.py`), p-values and verdicts (`sql/matches/evidence.sql`).
"""

import dagster as dg

from orchestration.duplicates.pixel_comparisons import PixelComparisons
from orchestration.facts import Facts
from orchestration.matches import candidates
from orchestration.matches.search import SearchCounts
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch", "opencv"},
    owners=["team:safety-research"],
    deps=["cluster_members", "generation_fingerprints", "prompt_candidates"],
    pool="gpu",
)
@explained
def match_candidates(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """The likely sources of every generation by bytes, perceptual hash, embedding and prompt, compared by pixels.

    New generations are searched against all training pictures, new training pictures against all generations.
    """
    facts, settings = warehouse.facts, warehouse.settings
    inputs = warehouse.copy_encoder, warehouse.views, settings, warehouse.training_picture
    counts, comparisons = candidates.update(facts, *inputs)
    return _report(context, facts, counts, comparisons)


def _report(
    context: dg.AssetExecutionContext, facts: Facts, counts: SearchCounts, comparisons: PixelComparisons
) -> dg.MaterializeResult:
    if comparisons.failed:
        context.log.warning("%s not compared by pixels; the next run tries again", count(comparisons.failed, "pair"))
    told = {
        "confirmed by pixels": facts["match_evidence"].dataset().count_rows(filter="confirmed"),
        "altered copies, confirmed by structure": facts["match_evidence"].dataset().count_rows(filter="altered"),
        "generations searched now": counts.generations,
        "training pictures searched now": counts.pictures,
        "compared by pixels now": comparisons.compared,
        "could not be compared": comparisons.failed,
        "waiting for image dumps": comparisons.waiting,
    }
    return asset_metadata.fact_result(facts, "match_candidates", told)
