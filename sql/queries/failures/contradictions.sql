-- One sentence for each shard with pictures that agree with a row in one thing and differ from it in another.
select format(
    '{}/{}: {:,} pictures contradict the row that they seem to belong to{}',
    dataset,
    shard,
    contradictions,
    coalesce(', such as: ' || contradiction_examples[1], '')
)
from catalog.shards
where contradictions > 0
order by contradictions desc, dataset, shard
