-- One row per source and model of generations, with the share of them that replicate (Somepalli et al. 2022, section 5).
-- The score is the best over the parts of a generation, where the paper's is that of the whole picture alone.
-- unique: source, model
-- not_null: source, generations, flat, searched, replicated, threshold
-- assert: replicated <= searched and searched + flat <= generations
-- assert: (rate is null) = (searched = 0)
-- assert: rate is null or (rate between rate_low and rate_high and rate_low >= 0 and rate_high <= 1)
-- column source: name of the source of the generations in the settings
-- column model: NULL where none is stated
-- column generations: generations that were found
-- column flat: of these, those too flat to resemble anything (status low_quality), such as a safety checker's black image
-- column searched: of the others, those that could be read and were searched for in the training set by embedding
-- column replicated: of these, those with a copy score above the threshold
-- column threshold: `memorization.replication`
-- column rate: replicated / searched; NULL where nothing was searched
-- column rate_low: Wilson's 95% interval of the rate, which takes generations for independent
-- column rate_high: its upper end

with best as (
    select generation_id, max(copy_score) as copy_score
    from matches.evidence
    group by generation_id
),

counted as (
    select
        generations.source,
        generations.model,
        count(*) as generations,
        count(*) filter (where generations.status = 'low_quality') as flat,
        count(*) filter (
            where generations.status = 'ok' and found.searched > 0 and found.searched_by = 'embeddings'
        ) as searched,
        count(*) filter (
            where generations.status = 'ok' and found.searched > 0 and best.copy_score > settings.memorization_replication
        ) as replicated,
        settings.memorization_replication as threshold
    from catalog.generations
    join provenance.generations as found using (generation_id)
    left join best using (generation_id)
    cross join settings
    group by generations.source, generations.model, settings.memorization_replication
),

shared as (
    select *, replicated / nullif(searched, 0)::double as rate
    from counted
)

select
    source,
    model,
    generations,
    flat,
    searched,
    replicated,
    threshold,
    rate,
    if(rate is null, null, wilson_low(rate, searched)) as rate_low,
    if(rate is null, null, wilson_high(rate, searched)) as rate_high
from shared
order by source, model
