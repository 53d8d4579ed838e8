-- One row per training row of `hits`, which has its cosine with what was asked for, the nearest first.
select
    hits.sample_id,
    hits.cosine,
    samples.dataset,
    samples.url,
    samples.caption,
    samples.license,
    samples.recalled,
    coalesce(counts.duplicate_count, if(samples.recalled, 0, 1)) as duplicate_count,
    clusters.cluster_id,
    samples.unsafe
from hits
join catalog.samples using (sample_id)
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
order by hits.cosine desc, hits.sample_id
