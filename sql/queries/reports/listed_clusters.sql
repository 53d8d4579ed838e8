-- One row per listed cluster, the $clusters most repeated ones, in the order of the $files data files.
select cluster_id, row_number() over (order by duplicate_count desc, cluster_id) - 1 as position
from (from duplicates.counts order by duplicate_count desc, cluster_id limit $clusters)
order by cluster_id % $files, position
