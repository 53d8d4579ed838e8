-- One row per licence that training rows state, most rows first; NULL: none stated.
select license as licence, count(*) as rows
from catalog.samples
group by license
order by rows desc, licence
