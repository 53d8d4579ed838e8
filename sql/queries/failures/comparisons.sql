-- One sentence for pairs of training pictures, and one for generations with candidates, that could not be compared by pixels.
select format(
    '{:,} pair{} of training pictures with close embeddings could not be compared by pixels and {} not joined: {}',
    not_compared,
    if(not_compared = 1, '', 's'),
    if(not_compared = 1, 'is', 'are'),
    not_compared_because
)
from duplicates.methods
where not_compared > 0
union all
select format(
    '{:,} candidate{} of {:,} generation{} could not be compared by pixels, such as {}: {}',
    count(*),
    if(count(*) = 1, '', 's'),
    count(distinct generation_id),
    if(count(distinct generation_id) = 1, '', 's'),
    min(generation_id),
    min_by(failure, generation_id)
)
from matches.evidence
where failure is not null
having count(*) > 0
