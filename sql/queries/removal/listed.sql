-- One row per row that goes, as a removal list has it.
select
    samples.sample_id, samples.dataset, samples.shard, samples.row_number, samples.key, samples.uid, samples.url,
    samples.url_host, samples.license, samples.caption, kept.license as kept_license,
    leaving.cluster_id, leaving.kept_sample_id, kept.url as kept_url, leaving.duplicate_count,
    leaving.distance_to_representative, leaving.method, leaving.reason, leaving.decided_by
from leaving
join catalog.samples as samples using (sample_id)
left join catalog.samples as kept on kept.sample_id = leaving.kept_sample_id
