-- One row per different picture of the cluster of the row $row, the representative's first, at most $most: a row that
-- shows it, how it was confirmed, how many rows show it, and how many such pictures there are.
select
    min_by(clusters.sample_id, clusters.rank) as sample_id, images.pixel_sha256, min(clusters.rank) as first_rank,
    min_by(clusters.method, clusters.rank) as method, min(clusters.distance_to_representative) as distance,
    min_by(images.pdq, clusters.rank) as pdq, count(*) as rows, count(*) over () as pictures
from duplicates.clusters
join fingerprints.images as images using (sample_id)
where clusters.cluster_id = $row
group by images.pixel_sha256
order by first_rank
limit $most
