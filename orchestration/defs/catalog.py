"""What was trained on? Assets of the stage `catalog`.

What belongs here: the asset `landing_shards`. What does not: inspecting shards (`orchestration/catalog/shards.py`), the
one row shape of all dialects (`sql/catalog/samples.sql`).
"""

from collections import defaultdict

import dagster as dg

from orchestration.catalog import not_taken, shards
from orchestration.catalog.partitions import register_partitions
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from transforms.catalog.not_taken import NotTakenCounts


@dg.asset(group_name="catalog", kinds={"lancedb", "parquet"}, owners=["team:data-engineering"])
def landing_shards(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Every shard in the landing folders, validated once per delivery. An unusable file keeps the reason.

    A shard whose files did not change since the last run is not read again.
    """
    counts: defaultdict[str, NotTakenCounts] = defaultdict(NotTakenCounts)
    delivered = shards.discover(warehouse.settings, counts)
    known = shards.landed_shards(warehouse.facts)
    landed = list(shards.inspect_shards(delivered, known, warehouse.settings, warehouse.fetched))
    changes = shards.commit_shards(warehouse.facts, known, landed)
    not_taken.store_landing(warehouse.facts, counts)
    register_partitions(context.instance, delivered)
    failures = [shard.failure for shard in landed if shard.failure]
    for failure in failures:
        context.log.warning(failure)
    listed = "\n".join(f"- {asset_metadata.escape(failure)}" for failure in failures)
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(warehouse.facts["landing_shards"]),
            "training rows": sum(shard.rows for shard in landed),
            **changes,
            "failed": dg.MetadataValue.md(listed or "none"),
        }
    )
