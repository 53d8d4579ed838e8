-- The different captions of each shard as they are compared, and how many rows have them. Captions that say much are
-- compared by their beginning.
select
    (sample_id >> 26)::bigint as shard_id,
    caption_key,
    count(*)::integer as rows,
    any_value(left(normalised, 2000)) as beginning
from duplicates.caption_keys
group by all
