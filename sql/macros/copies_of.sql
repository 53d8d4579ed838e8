-- One row per training row that shows the same picture as a training row, itself included, its representative first:
-- `from copies_of(1373232192833978402)`.
-- parameter of_sample: the training row's sample_id, or the cluster_id of its picture; as a number or as text

select
    samples.sample_id, coalesce(clusters.rank, 1) as rank, clusters.cluster_id, clusters.distance_to_representative,
    clusters.method, samples.dataset, samples.url, samples.url_host, samples.caption, samples.license, samples.recalled
from catalog.samples
left join duplicates.clusters using (sample_id)
where samples.sample_id = of_sample::ubigint
    or clusters.cluster_id in (select cluster_id from duplicates.clusters where sample_id = of_sample::ubigint)
order by rank, samples.sample_id
