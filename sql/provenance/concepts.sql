-- One row per concept: a cluster of meaning among the training pictures, named by the words that set its captions apart.
-- Empty unless `encoders.semantic` is set. Of the training rows with a usable picture that are not recalled, but for
-- generations, which fall in where they are nearest.
-- unique: concept_id
-- not_null: concept_id, name, words, rows, pictures, share, duplicate_share, licenses, generations, generation_share
-- assert: rows >= pictures
-- assert: share between 0 and 1 and duplicate_share between 0 and 1 and generation_share between 0 and 1
-- assert: mean_similarity between -1 and 1
-- column concept_id: its number, from 0; the next version keeps it for the concept whose direction is nearest, if that is so
--     from both sides, and gives the other numbers anew
-- column name: its three most distinctive words; `concept 7` where no caption has any
-- column words: its most distinctive words, at most ten, by class-based tf-idf: the share of the concept's different
--     captions that have the word, times log(1 + a / f), f captions with it in all concepts and a words of a concept on average
-- column rows: training rows whose picture is nearest to it
-- column pictures: different pictures among them, copies counted once
-- column share: of all such rows
-- column duplicate_share: share of its rows that show a picture which another row of the concept shows
-- column licenses: licences as the rows state them, the most frequent first, at most five, each with its rows; 'unknown' for none
-- column central_id: the training row nearest to its direction
-- column mean_similarity: mean cosine of its rows with its direction
-- column generations: generations that fall in
-- column generation_share: of all generations that were embedded
-- column copied_generations: of those that fall in, with a confirmed copy

with live as (
    select
        rows.concept_id,
        rows.sample_id,
        rows.similarity,
        samples.caption,
        coalesce(samples.license, 'unknown') as license,
        coalesce(clusters.cluster_id, rows.sample_id) as cluster_id
    from duplicates.concept_rows as rows
    join catalog.samples using (sample_id)
    left join duplicates.clusters using (sample_id)
),

sizes as (
    select
        concept_id,
        count(*) as rows,
        count(distinct cluster_id) as pictures,
        arg_min(sample_id, (-similarity, sample_id)) as central_id,
        avg(similarity) as mean_similarity
    from live
    group by concept_id
),

licensed as (
    select concept_id, license, count(*) as rows
    from live
    group by concept_id, license
    qualify row_number() over (partition by concept_id order by rows desc, license) <= 5
),

mixes as (
    select concept_id, list({'license': license, 'rows': rows} order by rows desc, license) as licenses
    from licensed
    group by concept_id
),

captions as (
    select distinct concept_id, normalised_caption(caption) as caption
    from live
    where caption is not null
),

worded as (
    select concept_id, unnest(list_distinct(regexp_extract_all(caption, '[\p{L}\p{M}]{3,}'))) as word
    from captions
),

counted as (
    select concept_id, word, count(*) as captions
    from worded
    group by all
),

concept_words as (
    select
        concept_id,
        word,
        captions / sum(captions) over (partition by concept_id)
        * ln(1 + sum(captions) over () / (select count(distinct concept_id) from counted) / sum(captions) over (partition by word))
            as weight
    from counted
),

named as (
    select concept_id, list(word order by weight desc, word)[:10] as words
    from concept_words
    group by concept_id
),

fallen as (
    select
        placed.concept_id,
        count(*) as generations,
        count(*) filter (where confirms_copy(found.verdict)) as copied_generations
    from lance_generation_concepts as placed
    left join provenance.generations as found using (generation_id)
    group by placed.concept_id
)

select
    sizes.concept_id,
    coalesce(list_aggregate(named.words[:3], 'string_agg', ', '), 'concept ' || sizes.concept_id) as name,
    coalesce(named.words, []) as words,
    sizes.rows,
    sizes.pictures,
    sizes.rows / sum(sizes.rows) over () as share,
    1 - sizes.pictures / sizes.rows as duplicate_share,
    mixes.licenses,
    sizes.central_id,
    sizes.mean_similarity,
    coalesce(fallen.generations, 0) as generations,
    coalesce(fallen.generations / (select sum(generations) from fallen), 0)::double as generation_share,
    coalesce(fallen.copied_generations, 0) as copied_generations
from sizes
join mixes using (concept_id)
left join named using (concept_id)
left join fallen using (concept_id)
order by sizes.rows desc, sizes.concept_id
