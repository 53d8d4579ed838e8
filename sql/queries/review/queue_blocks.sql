-- One row per image that the guard blocked, at most $most: those first of which the warehouse's own verdict is no copy,
-- then by how often; and a random sample of $each of every stratum (method, near its threshold or far from it) by the
-- seed $seed. Only images that are among the generations are drawn, as there is no picture of others to look at, and
-- none that a curator's entry blocked. Near is within the share $near of the threshold.
with found as (
    select
        pixel_sha256 as picture_a,
        max_by(cluster_id, checked_at) as sample_a,
        min(generation_id) as generation_id,
        max_by(method, checked_at) as method,
        max_by(verdict, checked_at) as verdict,
        max_by(value, checked_at) as measure,
        max_by(threshold, checked_at) as threshold,
        coalesce(any_value(warehouse_verdict) in ('similar', 'no_match_found'), false) as doubted,
        count(*) as copies
    from provenance.guard_log
    where decision = 'block' and pixel_sha256 is not null
    group by pixel_sha256
),

strata as (
    select
        *,
        case
            when generation_id is null or method is null or method = 'override' then null
            when method in ('sha256', 'pixels') then method
            else method || if(
                abs(threshold - measure) / nullif(if(method = 'embedding', 1 - threshold, threshold), 0) <= $near,
                ' near the threshold',
                ' far from the threshold'
            )
        end as stratum
    from found
),

drawn as (
    select
        *,
        count(*) over (partition by stratum) as stratum_size,
        coalesce(
            stratum is not null
            and row_number() over (partition by stratum order by md5(picture_a || $seed)) <= $each,
            false
        ) as sampled,
        row_number() over (order by doubted desc, copies desc, picture_a) as place
    from strata
)

select
    picture_a, null::varchar as picture_b, sample_a, null::ubigint as sample_b, generation_id, method, verdict, measure,
    threshold, stratum, if(stratum is null, null, stratum_size) as stratum_size, sampled,
    if(stratum is null, null, least(1, $each / stratum_size)) as probability, copies
from drawn
where place <= $most or sampled
order by place
