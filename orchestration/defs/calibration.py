"""How sure is a match? Assets of the stage `matches` from which p-values are computed.

What belongs here: the assets, and what the UI shows of them. What does not: which pictures calibrate
(`matches/calibration.py`), their best matches (`matches/null_distribution.py`), the background of each generation
(`matches/generation_backgrounds.py`), p-values of generations and error rates (`sql/matches/`).
"""

import dagster as dg
import numpy as np

from orchestration.matches import generation_backgrounds as backgrounds
from orchestration.matches import null_distribution as scores
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch", "opencv"},
    owners=["team:safety-research"],
    deps=["cluster_members", "generation_fingerprints"],
    pool="gpu",
)
@explained
def null_scores(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Best scores of pictures outside the training set: each training picture is searched among all others.

    The views are those of a generation, so the scores are comparable. Held-out pictures are searched too. The sample is
    stable: the `limits.null_sample` pictures with the smallest pixel digests. Edited copies of some are searched, and
    all matches are compared by pixels, to measure how often scores and pixels are wrong. Empty until there are
    generations, unless `calibration.without_generations` is set.
    """
    facts, settings = warehouse.facts, warehouse.settings
    inputs = warehouse.copy_encoder, warehouse.views, settings, warehouse.training_picture, warehouse.rules
    if failed := scores.update(facts, *inputs):
        context.log.warning("%s not compared; the next run tries again", count(failed, "picture"))
    best = np.sort(facts["null_scores"].read(["score"])["score"].to_numpy())
    quantiles = {f"score at {q:.0%}": float(np.quantile(best, q)) for q in (0.5, 0.95, 1.0) if len(best)}
    fit = facts["null_fits"].read().to_pylist()
    measured = {name: value for row in fit for name, value in row.items() if value is not None}
    return asset_metadata.fact_result(facts, "null_scores", quantiles | measured)


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["match_candidates", "null_scores"],
    pool="gpu",
)
@explained
def generation_backgrounds(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Best scores of each generation against a sample of training pictures: what it has in common with many."""
    facts = warehouse.facts
    scored = backgrounds.update(facts, warehouse.copy_encoder, warehouse.views, warehouse.settings)
    return asset_metadata.fact_result(facts, "generation_backgrounds", {"scored now": scored})
