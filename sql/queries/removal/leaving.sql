-- One row per row that policy ? removes, with the row that stays in its place, and why. The rule is the one by which
-- duplicates.policies counts them. Recalled rows always go.
with policy as (select rule, level from duplicates.policies where policy = ?),
heads as (select cluster_id, sample_id as kept_sample_id from duplicates.clusters where kept_rank = 1)
select
    clusters.sample_id, clusters.cluster_id,
    if(policy.rule = 'drop_from' or removals.answer = 'remove_all', null, heads.kept_sample_id) as kept_sample_id,
    counts.duplicate_count, clusters.distance_to_representative, clusters.method,
    if(removals.answer = 'remove_all', 'decided', 'duplicate') as reason,
    coalesce(removals.decided_by, clusters.decided_by) as decided_by
from duplicates.clusters
join duplicates.counts using (cluster_id)
join heads using (cluster_id)
cross join policy
left join duplicates.removals using (cluster_id)
where case
    when removals.answer = 'remove_all' then true
    when removals.answer = 'fine' then false
    else case policy.rule
    when 'semdedup' then false
    when 'keep' then clusters.kept_rank > policy.level
    when 'drop_from' then counts.duplicate_count >= policy.level
    else clusters.kept_rank > 1 and clusters.distance_to_representative <= policy.level
    end
end
union all
-- a picture that one row shows is its own cluster
select removals.cluster_id, removals.cluster_id, null, 1, null, null, 'decided', removals.decided_by
from duplicates.removals
anti join duplicates.clusters on clusters.cluster_id = removals.cluster_id
where removals.answer = 'remove_all'
union all
select
    found.sample_id, coalesce(clusters.cluster_id, found.sample_id), null, coalesce(counts.duplicate_count, 1), null,
    'semantic', 'duplicate', null
from duplicates.concept_rows as found
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
cross join policy
anti join duplicates.removals on removals.cluster_id = coalesce(clusters.cluster_id, found.sample_id)
where policy.rule = 'semdedup' and found.redundancy > 1 - policy.level / 1000
union all
select sample_id, cluster_id, null, live_rows, null, null, 'recalled', null from provenance.recalled
