-- The count of generations of each source and status.
select source || ': ' || status, count(*)
from catalog.generations
group by 1
order by 1
