-- One row per likely source of a generated image, best first: `from sources_of('simulated/0018.jpg')`.
-- parameter of_generation: the generation's id, or the id without its source

select
    sources.rank, sources.verdict, sources.sample_id, sources.cluster_id, sources.p_value, sources.q_value,
    sources.duplicate_count, sources.copy_score, sources.aligned_distance, sources.inliers, sources.region, sources.url,
    sources.caption, sources.license, sources.recalled, generations.searched, generations.searchable
from provenance.sources
join provenance.generations using (generation_id)
join catalog.generations as images using (generation_id)
where sources.generation_id in (of_generation, images.source || '/' || of_generation)
order by sources.rank
