-- One row per cluster of a bundle: its number in the bundle and its counts. Fills the temporary table guard_clusters.
-- $at_least: least rows of a cluster.
select
    (row_number() over (order by cluster_id) - 1)::uinteger as cluster,
    cluster_id,
    count(*) filter (where not recalled) as duplicate_count,
    count(*) filter (where recalled) as recalled_count
from guard_rows
group by cluster_id
having count(*) >= $at_least
