-- One row per row of `hits`, the nearest first, with what its training row says and how often it was trained on.
select hits.sample_id, hits.cosine, dataset, url, caption, license, recalled, duplicate_count
from hits
join catalog.samples using (sample_id)
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
order by cosine desc, hits.sample_id
