-- One row per generation with a confirmed copy (exact, copy, partial_copy or altered_copy), the surest first, at most $most;
-- after them those that are only similar to a training picture, likewise, at most $similar.
select generation_id, verdict, coalesce(duplicate_count, 0) as copies, q_value, best_cluster_id as cluster_id
from provenance.generations
where verdict_rank(verdict) is not null
qualify row_number() over (
    partition by verdict = 'similar'
    order by verdict_rank(verdict), q_value, duplicate_count desc, generation_id
) <= if(verdict = 'similar', $similar, $most)
order by verdict_rank(verdict), q_value, duplicate_count desc, generation_id
