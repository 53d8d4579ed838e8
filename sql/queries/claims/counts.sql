-- One row per answer: claimed pictures with it.
select trained_on, count(*) as pictures
from claims
group by trained_on
order by trained_on
