-- One row per cluster: how often was this picture trained on, and how differently was it presented?
-- unique: cluster_id
-- not_null: cluster_id, representative_id, duplicate_count, exact_count, near_count
-- assert: duplicate_count = exact_count + near_count
-- assert: duplicate_count >= 2
-- column duplicate_count: training rows in the cluster, the representative included
-- column exact_count: of these, rows with the representative's bytes, itself included
-- column near_count: rows with other bytes: re-encoded, resized, cropped, marked
-- column max_distance_to_representative: PDQ bits of 256
-- column licenses: the different licences stated, "unknown" among them where a row states none

select
    clusters.cluster_id,
    clusters.representative_id,
    count(*) as duplicate_count,
    count(*) filter (where images.sha256 = heads.sha256) as exact_count,
    count(*) filter (where images.sha256 <> heads.sha256) as near_count,
    count(distinct samples.url) as distinct_urls,
    count(distinct samples.caption) as distinct_captions,
    count(distinct samples.url_host) as distinct_hosts,
    max(clusters.distance_to_representative) as max_distance_to_representative,
    list(distinct coalesce(samples.license, 'unknown') order by coalesce(samples.license, 'unknown')) as licenses
from duplicates.clusters
join catalog.samples using (sample_id)
join fingerprints.images using (sample_id)
join fingerprints.images as heads on heads.sample_id = clusters.representative_id
group by all
order by duplicate_count desc, cluster_id
