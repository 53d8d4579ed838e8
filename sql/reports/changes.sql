-- One row per cluster, and per generation with a likely source, that is another one than in the version before: new, gone,
-- grown, or decided otherwise. Nothing for the first version.
-- A cluster of the version before goes on as the cluster that its representative is in now. Where several do so in one, the
-- one of the same name does, else the largest, and the others are merged. provenance.timeline has the generations of all
-- versions.
-- unique: kind, cluster_id, generation_id
-- not_null: kind, changes
-- assert: kind in ('cluster', 'case')
-- assert: len(changes) > 0
-- assert: list_has_all(['new', 'gone', 'merged', 'grown', 'shrunk', 'representative', 'verdict', 'source', 'decided'], changes)
-- column kind: cluster (of training pictures) or case (of a generation)
-- column changes: any of new, gone, merged (into now_in), grown, shrunk, representative (another picture stands for it), verdict, source (another picture is its likely source), decided (by others, or no longer)
-- column cluster_id: the cluster, of a case that of its likely source; as this version names it, or the version before what is gone
-- column now_in: the cluster of this version that has what was in a merged one
-- column generation_id: the generation of a case
-- column rows_before: training rows of the cluster, or that showed the likely source
-- column rows_after: as this version counts them
-- column verdict_before: of a case
-- column verdict_after: of a case; NULL where the generation is gone
-- column decided_by_before: who had decided about it
-- column decided_by: who decided about it
-- column url: of the cluster's representative, or of the likely source
-- column caption: likewise
-- column license: likewise

with traced as (
    select
        before.cluster_id as cluster_before,
        members.cluster_id as cluster_after,
        before.duplicate_count,
        before.decided_by,
        row_number() over (
            partition by members.cluster_id
            order by before.cluster_id <> members.cluster_id, before.duplicate_count desc, before.cluster_id
        ) = 1 as goes_on
    from previous_counts as before
    left join duplicates.clusters as members on members.sample_id = before.cluster_id
),

clusters as (
    select
        'cluster' as kind,
        list_filter(
            [
                if(before.cluster_before is null, 'new', null),
                if(now.duplicate_count > before.duplicate_count, 'grown', null),
                if(now.duplicate_count < before.duplicate_count, 'shrunk', null),
                if(before.cluster_before <> now.cluster_id, 'representative', null),
                if(before.cluster_before is not null and now.decided_by is distinct from before.decided_by, 'decided', null)
            ],
            lambda change: change is not null
        ) as changes,
        now.cluster_id,
        null::ubigint as now_in,
        null::varchar as generation_id,
        before.duplicate_count as rows_before,
        now.duplicate_count as rows_after,
        null::varchar as verdict_before,
        null::varchar as verdict_after,
        before.decided_by as decided_by_before,
        now.decided_by,
        now.representative_id as sample_id
    from duplicates.counts as now
    left join traced as before on before.cluster_after = now.cluster_id and before.goes_on
    where exists (from previous_versions)
    union all by name
    select
        'cluster' as kind,
        [if(cluster_after is null, 'gone', 'merged')] as changes,
        cluster_before as cluster_id,
        cluster_after as now_in,
        duplicate_count as rows_before,
        decided_by as decided_by_before,
        cluster_before as sample_id
    from traced
    where cluster_after is null or not goes_on
),

cases as (
    select
        'case' as kind,
        list_filter(
            [
                if(before.generation_id is null, 'new', null),
                if(now.generation_id is null, 'gone', null),
                if(now.verdict <> before.verdict, 'verdict', null),
                if(
                    now.generation_id is not null
                    and before.generation_id is not null
                    and now.best_cluster_id is distinct from before.best_cluster_id
                    and now.best_cluster_id is distinct from coalesce(members.cluster_id, before.best_sample_id),
                    'source',
                    null
                ),
                if(now.duplicate_count > before.duplicate_count, 'grown', null),
                if(now.duplicate_count < before.duplicate_count, 'shrunk', null),
                if(
                    now.generation_id is not null
                    and before.generation_id is not null
                    and now.decided_by is distinct from before.decided_by,
                    'decided',
                    null
                )
            ],
            lambda change: change is not null
        ) as changes,
        coalesce(now.best_cluster_id, before.best_cluster_id) as cluster_id,
        coalesce(now.generation_id, before.generation_id) as generation_id,
        before.duplicate_count as rows_before,
        now.duplicate_count as rows_after,
        before.verdict as verdict_before,
        now.verdict as verdict_after,
        before.decided_by as decided_by_before,
        now.decided_by,
        coalesce(now.best_sample_id, before.best_sample_id) as sample_id
    from provenance.generations as now
    full join previous_generations as before on before.generation_id = now.generation_id
    left join duplicates.clusters as members on members.sample_id = before.best_sample_id
    where exists (from previous_versions) and coalesce(now.best_sample_id, before.best_sample_id) is not null
)

select changed.* exclude (sample_id), samples.url, samples.caption, samples.license
from (select * from clusters union all by name select * from cases) as changed
left join catalog.samples using (sample_id)
where len(changed.changes) > 0
order by
    changed.kind desc, list_contains(changed.changes, 'gone') or list_contains(changed.changes, 'merged'),
    abs(coalesce(changed.rows_after, 0) - coalesce(changed.rows_before, 0)) desc, changed.cluster_id, changed.generation_id
