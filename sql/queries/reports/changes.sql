-- One row per cluster, or case as $kind says, that is another one than in the version before: those that people decided
-- otherwise first, then those whose rows changed most, at most $most.
select changes, cluster_id, generation_id, now_in, rows_before, rows_after, verdict_before, verdict_after, decided_by, caption
from reports.changes
where kind = $kind
order by
    list_contains(changes, 'decided') desc, abs(coalesce(rows_after, 0) - coalesce(rows_before, 0)) desc, cluster_id, generation_id
limit $most
