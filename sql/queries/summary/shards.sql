-- How many landed shards could be used and how many could not, as text.
select format('{} usable, {} failed', count(*) filter (where status <> 'failed'),
    count(*) filter (where status = 'failed'))
from catalog.shards
