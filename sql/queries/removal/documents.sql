-- One row per row of dataset ? that goes, or whose picture recurs: the file and row it stands in, and its cluster.
select files.rank, samples.row_number, leaving.sample_id is not null as removed, numbered.number, numbered.size
from catalog.samples as samples
join files using (dataset, shard)
left join leaving using (sample_id)
left join duplicates.clusters as clusters using (sample_id)
left join numbered on numbered.cluster_id = clusters.cluster_id
where samples.dataset = ? and (leaving.sample_id is not null or numbered.number is not null)
order by files.rank, samples.row_number
