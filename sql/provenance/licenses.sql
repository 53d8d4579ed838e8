-- One row per licence and host of the pictures that generations come from: on what terms were they there, and how much
-- came back? A picture that rows show under several licences or hosts counts for each of them, so rows do not add up.
-- What is written here is what the metadata says. Nobody verified it, and a licence that is unknown grants nothing.
-- unique: license, host
-- not_null: license, host, generations, exact_generations, copy_generations, partial_copy_generations
-- not_null: altered_copy_generations, similar_generations, pictures, copied_pictures, rows, recalled_rows
-- assert: generations
--     = exact_generations + copy_generations + partial_copy_generations + altered_copy_generations
--     + similar_generations
-- assert: rows >= pictures and copied_pictures <= pictures
-- assert: (copied_pictures > 0) = (generations > similar_generations)
-- column license: as the rows state it; 'unknown' for rows that state none
-- column host: that serves them; 'unknown' for rows whose URL names none
-- column generations: generations with a likely source of this licence and host
-- column exact_generations: of these, whose strongest such source is the same bytes or pixels
-- column copy_generations: whose strongest such source is a whole picture, confirmed by aligned pixels
-- column partial_copy_generations: whose strongest such source is a region, confirmed by aligned pixels
-- column altered_copy_generations: whose strongest such source is an altered copy, confirmed by structure
-- column similar_generations: to whose sources only closeness in embedding leads; no copy is confirmed
-- column pictures: different pictures that are a likely source of some generation
-- column copied_pictures: of these, confirmed in some generation (exact, copy, partial_copy or altered_copy)
-- column rows: training rows of this licence and host that show the pictures
-- column recalled_rows: of these, withdrawn by an opt-out list

with found as (
    select
        appearances.license,
        appearances.host,
        sources.generation_id,
        min(verdict_rank(sources.verdict)) as strength
    from provenance.sources
    join provenance.appearances using (cluster_id)
    group by all
),

strengths as (
    select
        license,
        host,
        count(*) as generations,
        count(*) filter (where strength = 1) as exact_generations,
        count(*) filter (where strength = 2) as copy_generations,
        count(*) filter (where strength = 3) as partial_copy_generations,
        count(*) filter (where strength = 4) as altered_copy_generations,
        count(*) filter (where strength = 5) as similar_generations
    from found
    group by all
),

copied as (
    select distinct cluster_id from provenance.sources where confirms_copy(verdict)
),

pictures as (
    select
        appearances.license,
        appearances.host,
        count(*) as pictures,
        count(copied.cluster_id) as copied_pictures,
        sum(appearances.rows)::bigint as rows,
        sum(appearances.recalled_rows)::bigint as recalled_rows
    from provenance.appearances
    left join copied using (cluster_id)
    group by all
)

select
    license,
    host,
    strengths.generations,
    strengths.exact_generations,
    strengths.copy_generations,
    strengths.partial_copy_generations,
    strengths.altered_copy_generations,
    strengths.similar_generations,
    pictures.pictures,
    pictures.copied_pictures,
    pictures.rows,
    pictures.recalled_rows
from strengths
join pictures using (license, host)
order by strengths.generations - strengths.similar_generations desc, strengths.generations desc, license, host
