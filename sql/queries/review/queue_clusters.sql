-- One row per cluster, the most repeated first, at most $most, and a random sample of $each of every stratum by the
-- seed $seed: the weakest method that ties a different picture to the cluster's own, near its threshold or far from it.
-- What only equal files and pixels tie, or a decision, is not drawn: the former needs no answer, the latter was
-- answered. Near is within the share $near of the threshold.
with thresholds as (
    select
        any_value(threshold) filter (where method = 'pdq') as pdq,
        any_value(threshold) filter (where method = 'aligned') as aligned
    from duplicates.pairs
    where method in ('pdq', 'aligned')
),

tied as (
    select
        cluster_id,
        bool_or(method = 'decided') as decided,
        bool_or(method = 'aligned') as by_pixels,
        bool_or(method = 'pdq') as by_hash,
        max(aligned_distance_to_representative) filter (where method = 'aligned') as furthest,
        max(distance_to_representative) filter (where method = 'pdq') as bits
    from duplicates.clusters
    group by cluster_id
),

found as (
    select
        images.pixel_sha256 as picture_a,
        counts.representative_id as sample_a,
        counts.cluster_id,
        counts.duplicate_count as copies,
        counts.max_distance_to_representative as measure,
        case when tied.decided then 'decided' when tied.by_pixels then 'aligned' when tied.by_hash then 'pdq' end as method,
        case
            when tied.decided then null
            when tied.by_pixels
                then (thresholds.aligned - tied.furthest) / nullif(thresholds.aligned, 0)
            when tied.by_hash then (thresholds.pdq - tied.bits) / nullif(thresholds.pdq, 0)
        end as margin
    from duplicates.counts
    join fingerprints.images as images on images.sample_id = counts.representative_id
    join tied on tied.cluster_id = counts.cluster_id
    cross join thresholds
),

strata as (
    select
        *,
        if(method in ('aligned', 'pdq'), method || if(margin <= $near, ' near the threshold', ' far from the threshold'), null)
            as stratum
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
        row_number() over (order by copies desc, cluster_id) as place
    from strata
)

select
    picture_a, null::varchar as picture_b, sample_a, null::ubigint as sample_b, null::varchar as generation_id, method,
    'one picture' as verdict, measure, null::double as threshold, stratum,
    if(stratum is null, null, stratum_size) as stratum_size, sampled,
    if(stratum is null, null, least(1, $each / stratum_size)) as probability, copies
from drawn
where place <= $most or sampled
order by place
