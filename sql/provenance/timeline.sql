-- One row per generation and published version in which something was found to have changed about it.
-- What changed for a generation since version 7: from provenance.timeline where generation_id = '…' and version > 7
-- Compared with the row before, not with the version before: many small changes of coverage are seen once they add up.
-- A source counts as changed when it is another picture. Clusters are named after one of their rows and may come to be
-- named after another; that changes nothing. Neither do p- and q-values, which move whenever anything is added.
-- unique: generation_id, version
-- not_null: generation_id, version, published_at, changes
-- assert: len(changes) > 0
-- assert: list_has_all(['known_before', 'appeared', 'verdict', 'source', 'duplicate_count', 'coverage', 'conclusive', 'gone'], changes)
-- assert: (verdict_after is null) = list_contains(changes, 'gone')
-- assert: verdict_before is null or not list_contains(changes, 'appeared')
-- column version: the first published version that says so
-- column published_at: UTC, of that version
-- column changes: any of appeared, verdict, source (another picture is best, or none), duplicate_count, coverage (by a percent or more), conclusive, gone; known_before in the first version that keeps this table
-- column verdict_before: as the last row of the generation says; NULL where it is new
-- column verdict_after: in this version; NULL where the generation is gone
-- column sample_id_before: the training row that fitted best
-- column duplicate_count_before: training rows that showed its picture
-- column coverage_before: share of the training rows that had been searched
-- column generation_id: of catalog.generations, then or now
-- column sample_id_after: the training row that fits best in this version; NULL without sources
-- column cluster_id_before: its cluster, as it was named then
-- column cluster_id_after: its cluster, as this version names it
-- column duplicate_count_after: training rows that show its picture in this version
-- column coverage_after: share of the training rows that have been searched in this version
-- column conclusive_before: whether the answer was conclusive, see provenance.generations
-- column conclusive_after: whether it is in this version

with recorded as (
    select
        generation_id,
        verdict_after as verdict,
        sample_id_after as sample_id,
        cluster_id_after as cluster_id,
        duplicate_count_after as duplicate_count,
        coverage_after as coverage,
        conclusive_after as conclusive,
        false as unrecorded
    from previous_timeline
    qualify row_number() over (partition by generation_id order by version desc) = 1
),

-- where the version before kept no timeline yet, what it said of its generations is where this one begins
before as (
    select * from recorded where verdict is not null
    union all
    select
        generation_id,
        verdict,
        best_sample_id,
        best_cluster_id,
        duplicate_count,
        coverage,
        conclusive,
        true
    from previous_generations
    where not exists (from previous_timeline)
),

compared as (
    select
        coalesce(now.generation_id, before.generation_id) as generation_id,
        list_filter(
            [
                if(before.unrecorded, 'known_before', null),
                if(before.generation_id is null, 'appeared', null),
                if(now.generation_id is null, 'gone', null),
                if(now.verdict <> before.verdict, 'verdict', null),
                if(
                    now.generation_id is not null
                    and before.generation_id is not null
                    and now.best_cluster_id is distinct from before.cluster_id
                    and now.best_cluster_id is distinct from coalesce(members.representative_id, before.sample_id),
                    'source',
                    null
                ),
                if(now.duplicate_count <> before.duplicate_count, 'duplicate_count', null),
                if(abs(now.coverage - before.coverage) >= 0.01, 'coverage', null),
                if(now.conclusive <> before.conclusive, 'conclusive', null)
            ],
            lambda change: change is not null
        ) as changes,
        before.verdict as verdict_before,
        now.verdict as verdict_after,
        before.sample_id as sample_id_before,
        now.best_sample_id as sample_id_after,
        before.cluster_id as cluster_id_before,
        now.best_cluster_id as cluster_id_after,
        before.duplicate_count as duplicate_count_before,
        now.duplicate_count as duplicate_count_after,
        before.coverage as coverage_before,
        now.coverage as coverage_after,
        before.conclusive as conclusive_before,
        now.conclusive as conclusive_after
    from provenance.generations as now
    full join before on before.generation_id = now.generation_id
    left join lance_cluster_members as members on members.sample_id = before.sample_id
)

select * from previous_timeline
union all by name
select compared.generation_id, this_version.version, this_version.published_at, compared.* exclude (generation_id)
from compared
cross join this_version
where len(compared.changes) > 0
order by generation_id, version
