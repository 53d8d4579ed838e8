-- The count of landed shards, and of archives of generations with one of these reasons, that cannot be used as a whole.
select
    (select count(*) from catalog.shards where status in ('broken', 'failed'))
    + (select count(*) from catalog.not_taken where part = 'generations' and list_contains($reasons, reason))
