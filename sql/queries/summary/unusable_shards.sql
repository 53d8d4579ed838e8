-- The count of landed shards that cannot be used, or not as a whole.
select count(*) filter (where status in ('broken', 'failed')) from catalog.shards
