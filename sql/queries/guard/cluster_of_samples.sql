-- One row per sample of a list, ascending: the number of its cluster in the bundle.
-- $ids: the samples. $none: the number of a sample that is not in the bundle.
select coalesce(clusters.cluster, $none)::uinteger
from unnest($ids::ubigint[]) as samples (sample_id)
left join guard_rows using (sample_id)
left join guard_clusters as clusters using (cluster_id)
order by samples.sample_id
