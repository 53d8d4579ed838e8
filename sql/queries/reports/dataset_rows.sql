-- One row per dataset: its training rows.
select dataset, count(*) as rows
from catalog.samples
group by dataset
order by dataset
