-- How many landed shards can be used, how many have a broken dump, and of how many the metadata cannot be used, as text.
select format('{:,} usable, {:,} broken, {:,} failed', count(*) filter (where status not in ('broken', 'failed')),
    count(*) filter (where status = 'broken'), count(*) filter (where status = 'failed'))
from catalog.shards
