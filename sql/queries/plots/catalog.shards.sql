-- The first 30 shards and their counts of rows.
select dataset || '/' || shard, rows
from catalog.shards
order by 1 limit 30
