-- One row per training picture that somebody said the generation $generation is no copy of.
select overruled.sample_id, overruled.measured_verdict, overruled.decided_by, overruled.decided_at::date::varchar as decided_on,
    overruled.reason
from provenance.overruled
where overruled.generation_id = $generation
order by overruled.cluster_id
