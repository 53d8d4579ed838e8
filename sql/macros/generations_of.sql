-- One row per generated image whose likely source shows the same picture as a training row, the surest first:
-- `from generations_of(1373232192833978402)`.
-- parameter of_sample: the training row's sample_id, as a number or as text

select
    sources.generation_id, sources.rank, sources.verdict, sources.p_value, sources.q_value, sources.copy_score,
    sources.aligned_distance, generations.model, generations.prompt
from provenance.sources
join catalog.generations using (generation_id)
where sources.cluster_id = coalesce(
    (select cluster_id from duplicates.clusters where sample_id = of_sample::ubigint), of_sample::ubigint
)
order by sources.p_value, sources.generation_id
