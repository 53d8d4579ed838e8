"""Which training pictures were trained on under a generation's prompt? The asset `prompt_candidates`.

What belongs here: reading prompts and writing candidates. What does not: comparing captions
(`matches/prompt_captions.py`), choosing candidates (`matches/prompt_candidates.py`).
"""

import dagster as dg

from orchestration.matches import caption_vectors, prompt_captions
from orchestration.matches.prompt_candidates import choose, prompt_recipe
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
    facts, settings = warehouse.facts, warehouse.settings
    readable = "status <> 'failed' and prompt is not null"
    generations = facts["generation_fingerprints"].read(["generation_id", "prompt"], readable)
    encoder = caption_vectors.text_encoder(settings, warehouse.load) if len(generations) else None
    prompts = prompt_captions.prompts(generations["prompt"].to_pylist())
    prompt_captions.update(facts, settings, prompts)
    table, made_by = facts["prompt_candidates"], prompt_recipe(facts, settings, generations, encoder)
    if table.recipe != made_by:
        table.replace(choose(facts, settings, generations, prompts, encoder), made_by)
    captions = facts["prompt_captions"].dataset().count_rows()
    told = {"prompts": len(prompts), "rows of such a caption": captions, **table.counts("method")}
    return asset_metadata.fact_result(facts, "prompt_candidates", told)
