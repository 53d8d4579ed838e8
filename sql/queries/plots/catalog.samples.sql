-- The 20 most frequent licences and their counts of rows.
select coalesce(license, 'no licence stated'), count(*) as n
from catalog.samples
group by 1
order by n desc, 1 limit 20
