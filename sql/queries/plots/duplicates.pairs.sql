-- The count of pairs that each method found.
select method, count(*)
from duplicates.pairs
group by 1
order by 1
