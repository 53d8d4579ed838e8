"""What was trained on? Assets of the stage `catalog`.

What belongs here: noticing landing files and registering them as shards. What does not: what makes a file valid
(`transforms/catalog/metadata.py`), the rows of dumps without metadata (`transforms/dumps/implied_metadata.py`), the one
row shape of all dialects (`sql/catalog/samples.sql`).
"""

import dagster as dg
import pyarrow as pa

from orchestration.catalog.shards import _any_of, _inspected, _outdate, discover
from orchestration.runtime import asset_metadata
from orchestration.runtime.resources import Warehouse
from transforms.catalog.landing import Shard

SHARDS = dg.DynamicPartitionsDefinition(name="shards")


@dg.asset(group_name="catalog", kinds={"lancedb", "parquet"}, owners=["team:data-engineering"])
def landing_shards(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Every shard in the landing folders, validated once a delivery. A file that cannot be used keeps its reason.

    A shard whose files did not change since the last look is not read again.
    """
    found = discover(warehouse.settings)
    known = {(row["dataset"], row["shard"]): row for row in warehouse.facts["landing_shards"].read().to_pylist()}
    rows = list(_inspected(warehouse, found, known))
    changed = [row for row in rows if known.get((row["dataset"], row["shard"])) != row]
    gone = [row["shard_id"] for key, row in known.items() if key not in {(s.dataset, s.name) for s in found}]
    table = warehouse.facts["landing_shards"]
    # a shard that was delivered again is no longer done, even if this run goes no further
    _outdate(warehouse.facts["fingerprinted_shards"], _any_of(row["shard_id"] for row in changed))
    table.upsert(pa.Table.from_pylist(changed, table.schema))
    table.delete(_any_of(gone))
    register(context.instance, found)
    failed = [row["failure"] for row in rows if row["failure"]]
    for failure in failed:
        context.log.warning(failure)
    return dg.MaterializeResult(
        metadata={
            **asset_metadata.fact(warehouse.facts["landing_shards"]),
            "training rows": sum(row["rows"] for row in rows),
            "new or changed": len(changed),
            "gone": len(gone),
            "failed": dg.MetadataValue.md("\n".join(f"- {asset_metadata.escaped(text)}" for text in failed) or "none"),
        }
    )


def register(instance: dg.DagsterInstance, shards: list[Shard]) -> None:
    """Make the Dagster partitions those of the shards that have pictures."""
    wanted = [shard.partition for shard in shards if shard.images]
    assert SHARDS.name  # noqa: S101 -- for the type checker: it is a named definition
    known = set(instance.get_dynamic_partitions(SHARDS.name))
    instance.add_dynamic_partitions(SHARDS.name, [name for name in wanted if name not in known])
    for name in known - set(wanted):
        instance.delete_dynamic_partition(SHARDS.name, name)
