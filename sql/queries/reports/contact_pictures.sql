-- The pictures of the owner $owner (a host, or where $by is creator a creator) that some generation resembles, the surest
-- first, at most $most: a row of the owner's that shows each.
with shown as (
    select
        if($by = 'creator', rights.creator, samples.url_host) as owner, sources.cluster_id, sources.generation_id,
        sources.verdict, sources.duplicate_count, samples.sample_id, samples.url, samples.license,
        coalesce(samples.unsafe, false) as unsafe
    from provenance.sources
    left join duplicates.clusters as clusters on clusters.cluster_id = sources.cluster_id
    join catalog.samples as samples on samples.sample_id = coalesce(clusters.sample_id, sources.sample_id)
    left join catalog.rights as rights on rights.sample_id = samples.sample_id
)

select
    min_by(verdict, verdict_rank(verdict)) as verdict, min(sample_id) as sample_id, min_by(url, sample_id) as url,
    min_by(license, sample_id) as license, bool_or(unsafe) as unsafe, any_value(duplicate_count) as rows,
    count(distinct generation_id) as generations, min(generation_id) as generation
from shown
where owner = $owner
group by cluster_id
order by min(verdict_rank(verdict)), count(distinct generation_id) desc, min(sample_id)
limit $most
