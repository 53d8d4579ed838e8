-- One row per cluster of a bundle, in the order of their numbers: what a source in a verdict says.
-- The row that is not recalled stands for its cluster, then the representative, then the lowest id. The licences of
-- recalled rows are left out: they were withdrawn.
with ranked as (
    select
        clusters.*, samples.sample_id, samples.dataset, samples.url, samples.license, samples.recalled,
        (samples.recalled, samples.sample_id <> clusters.cluster_id, samples.sample_id) as rank
    from guard_clusters as clusters
    join guard_rows using (cluster_id)
    join catalog.samples as samples using (sample_id)
)
select
    cluster_id,
    min_by(sample_id, rank) as sample_id,
    min_by(dataset, rank) as dataset,
    any_value(duplicate_count) as duplicate_count,
    any_value(recalled_count) as recalled_count,
    min_by({'url': url}, rank).url as url,  -- in a struct, because a NULL would be passed over
    coalesce(list_sort(list(distinct license) filter (where not recalled and license is not null)), []) as licenses
from ranked
group by cluster_id
order by cluster_id
