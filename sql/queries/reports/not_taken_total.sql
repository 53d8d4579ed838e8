-- One row: how many files became no row or no generation, and for how many reasons.
select coalesce(sum(files), 0)::bigint as files, count(distinct (coalesce(dataset, source), reason)) as reasons
from catalog.not_taken
