"""Which captions are nearly equal? The asset `caption_groups` of the stage `duplicates`.

What belongs here: the asset. What does not: when and how captions are grouped (`duplicates/captions.py`).
"""

import dagster as dg

from orchestration.duplicates import captions
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import WarehouseResource


@dg.asset(
    group_name="duplicates",
    kinds={"lancedb", "numba"},
    owners=["team:safety-research"],
    deps=["landing_shards"],
    pool="cpu",
)
def caption_groups(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """Captions that nearly equal a more frequent one, in groups named after that one. Recalled rows are included."""
    join = captions.update(warehouse.facts, warehouse.settings)
    table = warehouse.facts["caption_groups"]
    groups = table.read(["group_key"])["group_key"].unique()
    unmeasured = "not measured: no sampled caption is near another"
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(table),
            "groups": len(groups),
            "distinct captions": join["new"],
            "exact": join["exact"],
            "recall": unmeasured if join["recall"] is None else join["recall"],
        }
    )
