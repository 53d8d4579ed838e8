-- One row per different picture of the cluster of the row $row, the representative's first, at most $most: a row that
-- shows it, how it was confirmed, and how many rows show it.
select
    min_by(clusters.sample_id, clusters.rank) as sample_id, images.pixel_sha256, min(clusters.rank) as first_rank,
    min_by(clusters.method, clusters.rank) as method, min(clusters.distance_to_representative) as distance,
    count(*) as rows
from duplicates.clusters
join fingerprints.images as images using (sample_id)
where clusters.cluster_id = $row
group by images.pixel_sha256
order by first_rank
limit $most
