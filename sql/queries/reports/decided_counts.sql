-- One row per count that decisions change, with and without them. None where nobody decided anything.
select measure, with_decisions, without_decisions
from reports.decided_counts
where exists (select 1 from catalog.decisions where standing = 'in force')
