"""The Dagster partitions of shards.

What belongs here: the definition, and keeping it up to date with the landing folders. What does not: what a run does
with a partition (`defs/fingerprints.py`).
"""

from collections.abc import Iterable

import dagster as dg

from transforms.catalog.landing import Shard

NAME = "shards"
SHARDS = dg.DynamicPartitionsDefinition(name=NAME)


def register_partitions(instance: dg.DagsterInstance, shards: Iterable[Shard]) -> None:
    """Create a partition for each shard with pictures, and delete the others.

    Args:
        instance: Dagster's instance.
        shards: All shards in the landing folders.
    """
    current = [shard.partition for shard in shards if shard.images]
    known = set(instance.get_dynamic_partitions(NAME))
    instance.add_dynamic_partitions(NAME, [name for name in current if name not in known])
    for name in known - set(current):
        instance.delete_dynamic_partition(NAME, name)
