-- One row per metadata file: its place among those of its dataset.
select
    dataset, shard, metadata_path, row_number() over (partition by dataset order by metadata_path) - 1 as rank
from catalog.shards
where metadata_path is not null
