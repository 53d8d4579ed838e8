-- One row per generation on the map: at most $most, chosen by a digest, in its order. Its concept comes from its vector.
select
    null::ubigint as sample_id,
    if(confirms_copy(found.verdict), 'copy', 'generation') as kind,
    generations.generation_id as name,
    generations.prompt as caption,
    null::varchar as url,
    '' as license,
    generations.source as origin,
    0 as rows,
    0 as copied_by,
    found.verdict,
    null::integer as concept_id,
    false as unsafe
from catalog.generations
join provenance.generations as found using (generation_id)
order by md5(generations.generation_id), generations.generation_id
limit $most
