-- One row per training row of a listed cluster of $chosen, at most $members of each of the $clusters most repeated ones.
-- In the order of the $files data files, as cluster_summaries.sql.
with ranked as (
    select cluster_id, row_number() over (order by duplicate_count desc, cluster_id) - 1 as position
    from (from duplicates.counts order by duplicate_count desc, cluster_id limit $clusters)
),
listed as (
    select ranked.* from ranked semi join (select unnest($chosen::ubigint[]) as cluster_id) as chosen using (cluster_id)
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
