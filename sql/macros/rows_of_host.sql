-- One row per training row that was served from a host or the hosts below it, the most repeated pictures first:
-- `from rows_of_host('example.org')`.
-- parameter host: the host, in any case

select
    samples.sample_id, samples.url, samples.caption, samples.license, samples.recalled, clusters.cluster_id,
    coalesce(counts.duplicate_count, 1) as duplicate_count
from catalog.samples
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
where samples.url_host = lower(host) or ends_with(samples.url_host, '.' || lower(host))
order by coalesce(counts.duplicate_count, 1) desc, samples.sample_id
