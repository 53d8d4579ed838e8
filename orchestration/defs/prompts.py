"""Which training pictures were trained on under a generation's prompt? The asset `prompt_candidates`.

What belongs here: the asset, and what the UI shows of it. What does not: comparing captions
(`matches/prompt_captions.py`), choosing candidates (`matches/prompt_candidates.py`).
"""

import dagster as dg

from orchestration.matches import prompt_candidates as candidates
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource


@dg.asset(
    group_name="matches",
    kinds={"lancedb", "duckdb"},
    owners=["team:safety-research"],
    deps=["landing_shards", "cluster_members", "generation_fingerprints"],
    pool="gpu",
)
@explained
def prompt_candidates(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Training pictures whose caption is a generation's prompt: literally, normalised, or close in meaning.

    Keeps at most `limits.neighbours` pictures for each generation and method: the closest first, then those most often
    trained on under that caption. Keeps one row of a cluster. Only rows with a usable picture count.
    """
    facts = warehouse.facts
    prompts = candidates.update(facts, warehouse.settings, warehouse.load)
    captions = facts["prompt_captions"].dataset().count_rows()
    told = {"prompts": prompts, "rows of such a caption": captions, **facts["prompt_candidates"].counts("method")}
    return asset_metadata.fact_result(facts, "prompt_candidates", told)
