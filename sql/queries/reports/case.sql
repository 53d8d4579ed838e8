-- One row, or none: what is known of the generation $generation, without its sources.
select summary.*, generation.path, generation.model, generation.prompt, generation.seed
from provenance.generations as summary
join catalog.generations as generation using (generation_id)
where summary.generation_id = $generation
