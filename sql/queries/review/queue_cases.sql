-- One row per generation and likely source, those nearest to a threshold first, at most $most, and a random sample of
-- $each of every stratum (verdict, near its threshold or far from it) by the seed $seed. Of generations with equal
-- pixels the first is asked about. Near is within the share $near of the threshold.
with judged as (
    select generation_id, sample_id, coalesce(measured_verdict, verdict) as verdict, duplicate_count, rank
    from provenance.sources
    union all  -- what was overruled belongs to what is drawn from: else only what is right would be left
    select overruled.generation_id, overruled.sample_id, overruled.measured_verdict, pictures.copies, 1_000_000
    from provenance.overruled
    left join duplicates.pictures on pictures.cluster_id = overruled.cluster_id
),

found as (
    select
        generations.pixel_sha256 as picture_a,
        images.pixel_sha256 as picture_b,
        judged.sample_id as sample_b,
        judged.generation_id,
        judged.verdict,
        coalesce(judged.duplicate_count, 1) as duplicate_count,
        coalesce(evidence.geometry, if(evidence.copy_score is null, 'hashes', 'embedding')) as method,
        coalesce(evidence.aligned_distance, 1 - evidence.copy_score, evidence.pdq_distance / 256) as measure,
        case
            when judged.verdict in ('copy', 'partial_copy', 'altered_copy')
                then (evidence.thresholds.aligned_distance - evidence.aligned_distance)
                    / nullif(evidence.thresholds.aligned_distance, 0)
            when judged.verdict = 'similar' then least(coalesce(evidence.p_value, 1), 1)
            else 1
        end as margin
    from judged
    join catalog.generations using (generation_id)
    join fingerprints.images as images on images.sample_id = judged.sample_id
    left join matches.evidence on evidence.generation_id = judged.generation_id and evidence.sample_id = judged.sample_id
    where generations.pixel_sha256 is not null
    qualify row_number() over (
        partition by generations.pixel_sha256, images.pixel_sha256 order by judged.generation_id, judged.rank
    ) = 1
),

strata as (
    select *, verdict || if(coalesce(margin, 1) <= $near, ' near the threshold', ' far from the threshold') as stratum
    from found
),

drawn as (
    select
        *,
        count(*) over (partition by stratum) as stratum_size,
        row_number() over (partition by stratum order by md5(picture_a || picture_b || $seed)) <= $each as sampled,
        row_number() over (order by margin, verdict_rank(verdict), generation_id, picture_b) as place
    from strata
)

select
    picture_a, picture_b, null::ubigint as sample_a, sample_b, generation_id, method, verdict, measure,
    null::double as threshold, stratum, stratum_size, sampled, least(1, $each / stratum_size) as probability,
    duplicate_count as copies
from drawn
where place <= $most or sampled
order by place
