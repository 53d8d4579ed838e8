-- The count of generations with each verdict.
select verdict, count(*)
from provenance.generations
group by 1
order by 1
