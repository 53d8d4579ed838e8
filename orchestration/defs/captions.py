"""Which captions are nearly equal? The asset `caption_groups` of the stage `duplicates`.

What belongs here: the asset. What does not: when and how captions are grouped (`duplicates/caption_groups.py`).
"""

import dagster as dg

from orchestration.duplicates import caption_groups as captions
from orchestration.fingerprints import picture_set
from orchestration.runtime import asset_metadata
from orchestration.runtime.failures import explained
from orchestration.runtime.resources import WarehouseResource


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba"},
    owners=["team:safety-research"],
    deps=["landing_shards"],
    pool="cpu",
)
@explained
def caption_groups(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Captions that nearly equal a more frequent one, in groups named after that one. Recalled rows are included."""
    picture_set.forget()  # captions need the memory
    join = captions.update(warehouse.facts, warehouse.settings)
    groups = warehouse.facts["caption_groups"].read(["group_key"])["group_key"].unique()
    unmeasured = "not measured: no sampled caption is near another"
    told = {
        "groups": len(groups),
        "distinct captions": join["new"],
        "exact": join["exact"],
        "recall": unmeasured if join["recall"] is None else join["recall"],
    }
    return asset_metadata.fact_result(warehouse.facts, "caption_groups", told)
