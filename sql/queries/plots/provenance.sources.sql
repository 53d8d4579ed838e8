-- The count of sources with each verdict.
select verdict, count(*)
from provenance.sources
group by 1
order by 1
