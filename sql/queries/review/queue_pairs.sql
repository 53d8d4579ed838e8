-- One row per two different pictures that a test brought together, those nearest to its threshold first, at most $most,
-- and a random sample of $each of every stratum (method, near its threshold or far from it) by the seed $seed. Near is
-- within the share $near of the threshold.
with named as (
    select
        least(a.pixel_sha256, b.pixel_sha256) as picture_a,
        greatest(a.pixel_sha256, b.pixel_sha256) as picture_b,
        if(a.pixel_sha256 < b.pixel_sha256, pairs.sample_id_a, pairs.sample_id_b) as sample_a,
        if(a.pixel_sha256 < b.pixel_sha256, pairs.sample_id_b, pairs.sample_id_a) as sample_b,
        pairs.method,
        pairs.distance,
        pairs.threshold,
        if(pairs.method = 'similar', pairs.distance, pairs.threshold - pairs.distance) / nullif(pairs.threshold, 0) as margin
    from duplicates.pairs
    join fingerprints.images as a on a.sample_id = pairs.sample_id_a
    join fingerprints.images as b on b.sample_id = pairs.sample_id_b
    where pairs.method in ('pdq', 'aligned', 'similar') and a.pixel_sha256 <> b.pixel_sha256
),

strata as (
    select *, method || if(margin <= $near, ' near the threshold', ' far from the threshold') as stratum
    from named
    qualify row_number() over (partition by picture_a, picture_b order by margin, sample_a, sample_b) = 1
),

drawn as (
    select
        *,
        count(*) over (partition by stratum) as stratum_size,
        row_number() over (partition by stratum order by md5(picture_a || picture_b || $seed)) <= $each as sampled,
        row_number() over (order by margin, picture_a, picture_b) as place
    from strata
)

select
    picture_a, picture_b, sample_a, sample_b, null::varchar as generation_id, method,
    if(method = 'similar', 'similar', 'the same picture') as verdict, distance as measure, threshold, stratum, stratum_size,
    sampled, least(1, $each / stratum_size) as probability, 2 as copies
from drawn
where place <= $most or sampled
order by place
