-- One row: the version, when it was published, and what identifies its inputs, settings and SQL.
select
    version,
    strftime(published_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') as published_at,
    settings_hash,
    nullif(recipe, '') as recipe
from warehouse.versions
order by version desc
limit 1
