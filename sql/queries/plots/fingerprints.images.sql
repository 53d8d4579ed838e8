-- The count of pictures of each status.
select status, count(*)
from fingerprints.images
group by 1
order by 1
