-- One row: training rows with the same bytes or pixels as a generation of the warehouse. Which was first, no table says.
select count(distinct sample_id) as rows, count(distinct generation_id) as generations
from provenance.sources
where verdict = 'exact'
