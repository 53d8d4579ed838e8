-- One row: how many pictures are listed, at most $clusters, the rows of the least repeated of them, and how many rows
-- are listed in all, at most $members of a picture.
select count(*) as listed, coalesce(min(duplicate_count), 0) as least,
    coalesce(sum(least(duplicate_count, $members)), 0)::bigint as members
from (select duplicate_count from duplicates.counts order by 1 desc limit $clusters)
