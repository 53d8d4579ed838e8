-- One sentence for each shard with pictures that no metadata row lists.
select format(
    '{}/{}: {} pictures that no metadata row lists{}',
    dataset,
    shard,
    unlisted,
    coalesce(
        '; such as '
        || list_filter(contradiction_examples, lambda e: list_contains(unlisted_examples, split_part(e, ': ', 1)))[1],
        ''
    )
)
from catalog.shards where unlisted > 0 order by 1
