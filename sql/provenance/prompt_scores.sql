-- One row per generation with a prompt: how well the prompt fits it, and how its best likely source meets the prompt.
-- The scores are cosines of the encoder of meaning (CLIPScore, Hessel et al. 2021, is 2.5 times that, at least 0); NULL
-- unless `encoders.semantic` is a model of open_clip and `prompts.semantic` is set. Words are compared without an encoder.
-- unique: generation_id
-- not_null: generation_id, prompt
-- assert: clip_score between -1.001 and 1.001
-- assert: source_clip_score between -1.001 and 1.001
-- assert: shared_share between 0 and 1
-- assert: (shared_words is null) = (sample_id is null)
-- assert: clip_score between -1 and 1
-- assert: source_clip_score between -1 and 1
-- column generation_id: of catalog.generations
-- column prompt: text that the image was generated from
-- column clip_score: cosine of prompt and generation
-- column clip_percentile: share of the generations with a score whose own is no higher
-- column verdict: of the best likely source; NULL where there is none, as for the columns that follow
-- column sample_id: the best likely source, of provenance.sources
-- column source_clip_score: cosine of prompt and source: near clip_score where both show what was asked for
-- column captions: different captions of the rows that show the source
-- column shared_words: words of the prompt that any of these captions has too, in alphabetical order
-- column shared_share: share of the different words of the prompt that these are

with prompted as (
    select generation_id, prompt, regexp_extract_all(normalised_caption(prompt), '\S+') as words
    from catalog.generations
    where prompt is not null
),

best as (
    select sources.generation_id, sources.sample_id, sources.cluster_id, sources.verdict, images.pixel_sha256
    from provenance.sources
    join prompted using (generation_id)
    left join fingerprints.images using (sample_id)
    where sources.rank = 1
),

showing as (
    select distinct best.cluster_id, samples.caption
    from (select distinct cluster_id from best) as best
    join (
        select sample_id, cluster_id from duplicates.clusters semi join best using (cluster_id)
        union
        select sample_id, cluster_id from best
    ) as members using (cluster_id)
    join catalog.samples using (sample_id)
    where samples.caption is not null
),

captioned as (
    select
        cluster_id,
        count(*) as captions,
        list_distinct(flatten(list(regexp_extract_all(normalised_caption(caption), '\S+')))) as words
    from showing
    where normalised_caption(caption) is not null
    group by cluster_id
),

scored as (
    select generation_id, score, cume_dist() over (order by score) as percentile
    from lance_prompt_scores
),

-- a likely source may be another row with the same pixels than the one that was compared
of_pictures as (
    select scores.generation_id, images.pixel_sha256, any_value(scores.score) as score
    from lance_source_prompt_scores as scores
    join fingerprints.images using (sample_id)
    group by all
),

shared as (
    select
        best.generation_id,
        list_sort(list_intersect(prompted.words, coalesce(captioned.words, []))) as words,
        coalesce(captioned.captions, 0) as captions
    from best
    join prompted using (generation_id)
    left join captioned using (cluster_id)
)

select
    prompted.generation_id,
    prompted.prompt,
    bounded_cosine(scored.score) as clip_score,
    scored.percentile as clip_percentile,
    best.verdict,
    best.sample_id,
    bounded_cosine(of_pictures.score) as source_clip_score,
    shared.captions,
    coalesce(shared.words, if(best.sample_id is null, null, [])) as shared_words,
    len(shared.words) / nullif(len(list_distinct(prompted.words)), 0) as shared_share
from prompted
left join scored using (generation_id)
left join best using (generation_id)
left join of_pictures
    on of_pictures.generation_id = prompted.generation_id and of_pictures.pixel_sha256 = best.pixel_sha256
left join shared on shared.generation_id = prompted.generation_id
order by prompted.generation_id
