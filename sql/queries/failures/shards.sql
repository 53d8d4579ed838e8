-- One sentence for each landed shard that could not be read.
select coalesce(failure, broken) from catalog.shards where coalesce(failure, broken) is not null order by 1
