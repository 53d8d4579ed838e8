-- One row per image that the guard blocked, at most $most: those first of which the warehouse's own verdict is no copy,
-- then by how often. $each and $seed are not used: blocks are not sampled.
select
    log.pixel_sha256 as picture_a, null::varchar as picture_b, max_by(log.cluster_id, log.checked_at) as sample_a,
    null::ubigint as sample_b, min(log.generation_id) as generation_id, max_by(log.method, log.checked_at) as method,
    max_by(log.verdict, log.checked_at) as verdict, max_by(log.value, log.checked_at) as measure,
    max_by(log.threshold, log.checked_at) as threshold, null::varchar as stratum, null::bigint as stratum_size,
    false as sampled, null::double as probability, count(*) as copies
from provenance.guard_log as log
where log.decision = 'block' and log.pixel_sha256 is not null and $each >= 0 and $seed is not null
group by log.pixel_sha256
order by
    coalesce(any_value(log.warehouse_verdict) in ('similar', 'no_match_found'), false) desc, count(*) desc,
    log.pixel_sha256
limit $most
