-- One row per prompt of a source and model, with the test of Carlini et al. 2023 (section 4.2): do its generations hold a
-- clique of near pictures? A clique, as every two of its pictures are near; pictures that drift in a chain are none.
-- unique: prompt_id
-- not_null: prompt_id, source, prompt, generations, unreadable, flat, different, compared, pairs, epsilon, clique_size
-- not_null: largest_clique, clique_at_most, clique_is_exact, members, searched, replicated, confirmed_copies
-- assert: largest_clique <= compared and compared <= different
-- assert: largest_clique <= clique_at_most and clique_at_most <= different
-- assert: clique_is_exact = (largest_clique = clique_at_most)
-- assert: largest_clique = len(members)
-- assert: (flagged is null) = (largest_clique < clique_size and clique_at_most >= clique_size)
-- assert: replicated <= searched and confirmed_copies <= searched
-- assert: searched > 0 or replication_rate is null
-- column source: name of the source of the generations in the settings
-- column model: as stated; NULL where none is
-- column prompt: text that the images were generated from
-- column prompt_id: digest of source, model and prompt
-- column generations: generations of the prompt, readable or not
-- column unreadable: of these, those that could not be read; no test says anything of them
-- column flat: of these, those too flat to resemble anything (status low_quality), such as a safety checker's black image; no test counts them
-- column different: readable generations that are not flat: of different pixels, or of equal pixels and different seeds
-- column compared: of these, those that were compared with each other: `memorization.generations` at most
-- column pairs: pairs within epsilon
-- column epsilon: tiled distance up to which two generations are near
-- column largest_clique: pictures of the largest clique that was found
-- column clique_at_most: no clique has more pictures; above largest_clique where the search or the comparison was cut off
-- column clique_is_exact: false where largest_clique is a lower bound
-- column clique_size: pictures of a clique from which the prompt is flagged
-- column flagged: whether there is such a clique; NULL where that is not known
-- column members: the generations of that clique
-- column searched: generations that are not flat and were searched for in the training set
-- column replicated: of these, those with a copy score above `memorization.replication`
-- column replication_rate: replicated / searched (Somepalli et al. 2022); NULL where nothing was searched by embedding
-- column confirmed_copies: of these, those that copy a source, confirmed (exact, copy, partial_copy or altered_copy)
-- column failure: why some generation could not be compared; it is tried again

with best as (
    select generation_id, max(copy_score) as copy_score, bool_or(confirms_copy(verdict)) as copies
    from matches.evidence
    group by generation_id
),

counted as (
    select
        generations.source,
        generations.model,
        generations.prompt,
        count(*) as generations,
        count(*) filter (where generations.status = 'failed') as unreadable,
        count(*) filter (where generations.status = 'low_quality') as flat,
        count(*) filter (where generations.status = 'ok' and found.searched > 0) as searched,
        count(*) filter (
            where generations.status = 'ok' and found.searched > 0 and best.copy_score > settings.memorization_replication
        ) as replicated,
        count(*) filter (where generations.status = 'ok' and found.searched > 0 and best.copies) as confirmed_copies
    from catalog.generations
    join provenance.generations as found using (generation_id)
    left join best using (generation_id)
    cross join settings
    where generations.prompt is not null
    group by all
)

select
    cliques.prompt_id,
    cliques.source,
    cliques.model,
    cliques.prompt,
    counted.generations,
    counted.unreadable,
    counted.flat,
    cliques.different,
    cliques.compared,
    cliques.pairs,
    settings.memorization_epsilon as epsilon,
    len(cliques.members) as largest_clique,
    cliques.clique_at_most,
    len(cliques.members) = cliques.clique_at_most as clique_is_exact,
    settings.memorization_clique as clique_size,
    case
        when len(cliques.members) >= settings.memorization_clique then true
        when cliques.clique_at_most < settings.memorization_clique then false
    end as flagged,
    cliques.members,
    counted.searched,
    counted.replicated,
    if(settings.copy_encoder is null, null, counted.replicated / nullif(counted.searched, 0)::double) as replication_rate,
    counted.confirmed_copies,
    cliques.failure
from lance_prompt_cliques as cliques
join counted
    on counted.source = cliques.source
    and counted.model is not distinct from cliques.model
    and counted.prompt = cliques.prompt
cross join settings
order by largest_clique desc, cliques.prompt_id
