-- One row per training picture that the generation $generation resembles in meaning, the nearest first.
select related.* exclude (generation_id), coalesce(samples.unsafe, false) as unsafe
from provenance.related
left join catalog.samples using (sample_id)
where related.generation_id = $generation
order by related.rank
