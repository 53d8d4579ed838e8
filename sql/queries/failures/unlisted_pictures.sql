-- One sentence for each shard with pictures that no metadata row lists.
select format(
    '{}/{}: {:,} picture{} that no metadata row lists{}',
    dataset,
    shard,
    unlisted,
    if(unlisted = 1, '', 's'),
    coalesce(', such as ' || unlisted_examples[1], '')
)
from catalog.shards
where unlisted > 0
order by unlisted desc, dataset, shard
