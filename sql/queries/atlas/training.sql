-- One row per training picture on the map, copies once: at most $most, chosen by a digest, in its order.
with concepts as (
    select sample_id, concept_id from duplicates.concept_rows
),
copied as (
    select cluster_id, count(distinct generation_id) as generations
    from provenance.sources
    where confirms_copy(verdict)
    group by cluster_id
)
select
    pictures.cluster_id as sample_id,
    'training' as kind,
    'row ' || pictures.cluster_id as name,
    samples.caption,
    samples.url,
    coalesce(samples.license, 'unknown') as license,
    samples.dataset as origin,
    pictures.copies as rows,
    coalesce(copied.generations, 0) as copied_by,
    null::varchar as verdict,
    concepts.concept_id,
    samples.unsafe
from duplicates.pictures
join catalog.samples on samples.sample_id = pictures.cluster_id
left join concepts on concepts.sample_id = pictures.cluster_id
left join copied using (cluster_id)
order by md5(pictures.cluster_id::varchar), pictures.cluster_id
limit $most
