-- The count of candidates that each method found.
select method, count(*)
from matches.candidates
group by 1
order by 1
