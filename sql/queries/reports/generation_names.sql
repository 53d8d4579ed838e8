-- One row per generation: its id.
select generation_id
from catalog.generations
order by generation_id
