-- One sentence for each shard with pictures that no metadata row lists.
select format('{}/{}: {} pictures that no metadata row lists', dataset, shard, unlisted)
from catalog.shards where unlisted > 0 order by 1
