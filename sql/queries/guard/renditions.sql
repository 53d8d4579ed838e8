-- One row per cluster of a bundle, most shown first: the row whose picture stands for it.
-- $most: clusters.
select
    clusters.cluster,
    min_by(pictures.sample_id, (pictures.sample_id <> clusters.cluster_id, pictures.sample_id)) as sample_id
from guard_clusters as clusters
join guard_rows as pictures using (cluster_id)
group by clusters.cluster, clusters.cluster_id, clusters.duplicate_count, clusters.recalled_count
order by clusters.duplicate_count + clusters.recalled_count desc, clusters.cluster_id
limit $most
