-- One row per change since the version before: to how many clusters, or cases as $kind says, it happened, the most first.
select change, count(*) as items
from (select unnest(changes) as change from reports.changes where kind = $kind)
group by change
order by items desc, change
