-- The 20 largest clusters and their counts of copies.
select 'cluster ' || cluster_id, duplicate_count
from duplicates.counts
order by duplicate_count desc, cluster_id limit 20
