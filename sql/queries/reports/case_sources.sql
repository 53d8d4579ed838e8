-- One row per likely source of the generation $generation, strongest first, at most $most.
select sources.* exclude (generation_id),
    concat_ws(' :: ', shards.images_path, images.member) as picture,
    (
        select count(distinct host) from provenance.appearances as a where a.cluster_id = sources.cluster_id
    ) as hosts,
    (
        select list(distinct a.license order by a.license)
        from provenance.appearances as a
        where a.cluster_id = sources.cluster_id
    ) as licenses,
    samples.unsafe or coalesce((
        select bool_or(member.unsafe)
        from duplicates.clusters as c
        join catalog.samples as member using (sample_id)
        where c.cluster_id = sources.cluster_id
    ), false) as unsafe
from provenance.sources
left join catalog.samples using (sample_id)
left join catalog.shards on shards.dataset = samples.dataset and shards.shard = samples.shard
left join fingerprints.images using (sample_id)
where sources.generation_id = $generation
order by sources.rank
limit $most
