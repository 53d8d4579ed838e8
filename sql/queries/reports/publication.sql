-- One row: the number of the version, and when it was published.
select version as number, strftime(published_at at time zone 'UTC', '%Y-%m-%d %H:%M UTC') as published_at
from warehouse.versions
order by version desc
limit 1
