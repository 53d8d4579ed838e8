-- One row per training row of the clusters $chosen, at most $members of each, with the place of its cluster in $positions.
-- In the order of the $files data files, as cluster_summaries.sql.
with listed as (
    select unnest($chosen::ubigint[]) as cluster_id, unnest($positions::bigint[]) as position
)
select listed.position, clusters.sample_id, clusters.method, clusters.distance_to_representative as far,
    clusters.aligned_distance_to_representative as aligned, images.sha256, images.pixel_sha256, images.pdq, images.width,
    images.height, samples.url, samples.url_host, samples.caption, samples.license
from listed
join duplicates.clusters using (cluster_id)
join catalog.samples using (sample_id)
join fingerprints.images using (sample_id)
where clusters.rank <= $members
order by listed.cluster_id % $files, listed.position, clusters.rank
