-- One sentence for each shard with pictures that agree with a row in one thing and differ from it in another.
select format(
    '{}/{}: {:,} picture{} the row that {} to belong to{}',
    dataset,
    shard,
    contradictions,
    if(contradictions = 1, ' contradicts', 's contradict'),
    if(contradictions = 1, 'it seems', 'they seem'),
    coalesce(', such as: ' || contradiction_examples[1], '')
)
from catalog.shards
where contradictions > 0
order by contradictions desc, dataset, shard
