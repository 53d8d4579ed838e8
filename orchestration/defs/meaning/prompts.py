"""How well do prompts fit what was drawn, and its sources? The asset `prompt_scores`.

What belongs here: the asset. What does not: embedding and scoring (`provenance/meaning/prompt_scores.py`), shared words
(`sql/provenance/prompt_scores.sql`).
"""

import dagster as dg

from orchestration.matches import caption_vectors
from orchestration.provenance.meaning import prompt_scores as scoring
from orchestration.provenance.meaning import related
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource


@dg.asset(
    group_name="provenance",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["match_candidates", "related_pictures"],
    pool="gpu",
)
@explained
def prompt_scores(warehouse: WarehouseResource) -> dg.MaterializeResult:
    """How well each prompt fits its generation and its candidates, by the encoder of meaning.

    Empty unless `encoders.semantic` is a model of open_clip and `prompts.semantic` is set. Each different prompt is
    embedded once.
    """
    facts, new = warehouse.facts, 0
    if encoder := caption_vectors.text_encoder(warehouse.settings, warehouse.load):
        new = scoring.update(facts, encoder)
    else:
        related.clear(facts, scoring.TABLES)
    return asset_metadata.fact_result(facts, "prompt_scores", {"prompts embedded now": new})
