-- One row per opt-out list and kind of entry that withdrew training rows: how many rows and by how many entries.
select list, kind, count(*) as rows, count(distinct value) as entries
from provenance.recalled
group by list, kind
order by list, kind
