"""What does a generation resemble in meaning? The asset `related_pictures`.

What belongs here: the asset. What does not: embedding and searching (`provenance/meaning/`), percentiles
(`sql/provenance/related.sql`).
"""

import dagster as dg

from orchestration.fingerprints.kinds import SEMANTIC
from orchestration.matches.search import SearchCounts, readable_generations
from orchestration.provenance.meaning import generation_vectors, related
from orchestration.provenance.meaning.generation_vectors import EmbeddedCounts
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource
from transforms.readable import count


@dg.asset(
    group_name="provenance",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["cluster_members", "generation_fingerprints"],
    pool="gpu",
)
@explained
def related_pictures(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """The training pictures that each generation resembles in meaning, which is no evidence of copying.

    Empty unless `encoders.semantic` is set. New generations are searched against all training pictures, new training
    pictures against all generations.
    """
    facts, settings = warehouse.facts, warehouse.settings
    counts, searched = EmbeddedCounts(), SearchCounts()
    if SEMANTIC in warehouse.encoder_names:
        encoder, generations = warehouse.encoder(SEMANTIC), readable_generations(facts, None)
        counts = generation_vectors.update(facts, encoder, warehouse.rules, warehouse.pace, generations)
        if settings.search.related:
            searched = related.update(facts, encoder, settings, generations, counts.failed)
    else:
        related.clear(facts, (generation_vectors.TABLE,))
    if SEMANTIC not in warehouse.encoder_names or not settings.search.related:
        related.clear(facts)
    if counts.failed:
        context.log.warning("%s cannot be read; the next run tries again", count(counts.failed, "generation"))
    told = {
        "generations embedded now": counts.embedded,
        "generations searched now": searched.generations,
        "training pictures searched now": searched.pictures,
    }
    return asset_metadata.fact_result(facts, "related_pictures", told)
