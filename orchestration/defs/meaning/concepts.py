"""Which concepts do the training pictures show? The asset `concept_members`.

What belongs here: the asset. What does not: clustering (`provenance/meaning/concepts.py`), naming and counting
(`sql/provenance/concepts.sql`).
"""

import dagster as dg

from orchestration.fingerprints.kinds import SEMANTIC
from orchestration.provenance.meaning import concepts, related
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource


@dg.asset(
    group_name="provenance",
    kinds={"lancedb", "torch"},
    owners=["team:safety-research"],
    deps=["image_fingerprints", "related_pictures"],
    pool="gpu",
)
@explained
def concept_members(warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Clusters of meaning among the training pictures, and the one that each generation falls in.

    Empty unless `encoders.semantic` is set. Found again when the training pictures change.
    """
    facts, settings, count = warehouse.facts, warehouse.settings, 0
    if SEMANTIC in warehouse.encoder_names and settings.concepts.count != 0:
        count = concepts.update(facts, warehouse.encoder(SEMANTIC), settings)
    else:
        related.clear(facts, concepts.TABLES)
    return asset_metadata.fact_result(facts, "concept_members", {"concepts": count})
