-- One row per generation: what is it, at its strongest, and what was searched to say so?
-- unique: generation_id
-- not_null: generation_id, verdict, sources, searched, searchable, coverage, required_coverage, conclusive, not_compared, searched_by
-- assert: verdict in ('exact', 'copy', 'partial_copy', 'altered_copy', 'similar', 'no_match_found', 'not_searched')
-- assert: (sources > 0) = (verdict in ('exact', 'copy', 'partial_copy', 'altered_copy', 'similar'))
-- assert: coverage between 0 and 1
-- assert: verdict = measured_verdict or decided_by is not null
-- assert: conclusive or verdict in ('similar', 'no_match_found', 'not_searched')
-- assert: not conclusive or verdict <> 'not_searched'
-- assert: searched_by in ('embeddings', 'hashes')
-- assert: searched_by = 'embeddings' or not conclusive or verdict in ('exact', 'copy', 'partial_copy', 'altered_copy')
-- assert: not_compared = 0 or not conclusive or verdict in ('exact', 'copy', 'partial_copy', 'altered_copy')
-- assert: unsearched is null or not conclusive or verdict in ('exact', 'copy', 'partial_copy', 'altered_copy')
-- column verdict: of the best source; no_match_found where there is none; not_searched where the image could not be read
-- column measured_verdict: what verdict would be without decisions
-- column decided_by: who decided about one of its sources, taken away or confirmed; NULL where nobody did
-- column sources: different training pictures it likely comes from
-- column searched_by: embeddings, which find crops, collages and edits too, or hashes: equal files, equal pixels and near perceptual hashes alone, where encoders.copy is none
-- column searched: training rows it was compared with
-- column searchable: training rows there are
-- column coverage: searched / searchable; a no_match_found says nothing about the rest
-- column required_coverage: thresholds.coverage: the coverage from which not having found a copy says something
-- column conclusive: false where searching the rest could still turn up a copy: not searched at all, or no copy confirmed and coverage below required_coverage, a part of the file unsearched, a candidate not compared, or hashes alone searched. Such a no_match_found is shown as inconclusive. A copy that was found stays one, whatever was not searched
-- column not_compared: candidates whose pixels could not be compared with it, because a picture could not be read; matches.evidence says why
-- column failure: why a generation could not be searched
-- column unsearched: what the file may show that was not searched: further frames or pages, or pixels under its transparency
-- column generation_id: of catalog.generations
-- column source: the folder of generations, as the settings name it
-- column best_sample_id: training row of the likely source at rank 1; NULL without sources
-- column best_cluster_id: cluster of that row; NULL without sources
-- column duplicate_count: training rows that show that picture; NULL without sources
-- column p_value: how often a picture that is not in the training set has a best match this strong; NULL where nothing was searched by embedding
-- column q_value: false discovery rate among the searched generations when everything this strong is reported

with extent as (
    select
        coalesce(sum(ok), 0) as searched,
        coalesce(sum(expected), 0) as searchable
    from settings
    left join fingerprints.coverage on fingerprint = coalesce(settings.copy_encoder, 'pdq')
),

found as (
    select generation_id, count(*) as sources
    from provenance.sources
    group by generation_id
),

failed as (
    select generation_id, count(*) as candidates
    from matches.evidence
    where failure is not null
    group by generation_id
),

measured as (
    select
        generation_id,
        min_by(measured_verdict, verdict_rank(measured_verdict)) as verdict,
        string_agg(distinct decided_by, ', ' order by decided_by) as decided_by
    from matches.evidence
    group by generation_id
),

described as (
    select
        generations.generation_id,
        generations.source,
        case
            when generations.status = 'failed' then 'not_searched'
            else coalesce(best.verdict, 'no_match_found')
        end as verdict,
        case
            when generations.status = 'failed' then 'not_searched'
            else coalesce(measured.verdict, 'no_match_found')
        end as measured_verdict,
        measured.decided_by,
        best.sample_id as best_sample_id,
        best.cluster_id as best_cluster_id,
        best.duplicate_count,
        significance.p_value,
        significance.q_value,
        coalesce(found.sources, 0) as sources,
        if(generations.status = 'failed', 0, extent.searched)::bigint as searched,
        extent.searchable::bigint as searchable,
        coalesce(if(generations.status = 'failed', 0, extent.searched) / nullif(extent.searchable, 0), 0)::double as coverage,
        settings.coverage as required_coverage,
        coalesce(failed.candidates, 0) as not_compared,
        if(settings.copy_encoder is null, 'hashes', 'embeddings') as searched_by,
        generations.failure,
        generations.unsearched
    from catalog.generations
    cross join extent
    cross join settings
    left join provenance.sources as best on best.generation_id = generations.generation_id and best.rank = 1
    left join found on found.generation_id = generations.generation_id
    left join measured on measured.generation_id = generations.generation_id
    left join failed on failed.generation_id = generations.generation_id
    left join matches.significance on significance.generation_id = generations.generation_id
)

select
    * exclude (failure, unsearched),
    case
        when verdict = 'not_searched' then false
        when verdict in ('similar', 'no_match_found') then
            coverage >= required_coverage and unsearched is null and not_compared = 0 and searched_by = 'embeddings'
        else true
    end as conclusive,
    failure,
    unsearched
from described
order by generation_id
