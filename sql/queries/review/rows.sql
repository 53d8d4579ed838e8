-- One row per training row of $rows: what the desk shows of it.
select
    samples.sample_id, samples.dataset, samples.url, samples.url_host, samples.caption, samples.license, images.width,
    images.height, coalesce(samples.unsafe, false) as unsafe, samples.recalled, images.pixel_sha256, images.pdq,
    coalesce(counts.duplicate_count, 1) as copies
from catalog.samples
left join fingerprints.images as images using (sample_id)
left join duplicates.clusters as clusters using (sample_id)
left join duplicates.counts as counts on counts.cluster_id = clusters.cluster_id
where samples.sample_id in (select unnest($rows::ubigint[]))
