-- One row per different picture of a bundle, ascending: its first row, and the number of its cluster.
with firsts as (select min(sample_id) as sample_id from guard_rows group by pixel_sha256)
select sample_id, cluster
from firsts
join guard_rows using (sample_id)
join guard_clusters using (cluster_id)
order by sample_id
