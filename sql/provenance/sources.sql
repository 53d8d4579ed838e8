-- One row per generation and likely source: a training picture, however often it was trained on, with its evidence.
-- A source is likely, never certain: the nearest neighbour of a picture is not proof of where it came from.
-- unique: generation_id, rank
-- unique: generation_id, sample_id
-- not_null: generation_id, rank, sample_id, cluster_id, verdict, p_value, q_value, duplicate_count, recalled
-- assert: verdict in ('exact', 'copy', 'partial_copy', 'similar')
-- assert: verdict in ('exact', 'similar') or aligned_distance is not null
-- assert: duplicate_count >= 1
-- column rank: 1 is the best supported source
-- column sample_id: the training row of the cluster that fits best
-- column cluster_id: the cluster it belongs to; its own id where no other row shows the picture
-- column verdict: exact, copy, partial_copy or similar
-- column p_value: how often a picture that is not in the training set has a best match this strong
-- column q_value: false discovery rate among the searched generations when everything this strong is reported
-- column duplicate_count: training rows that show this picture
-- column region: the shared part on the generation, as fractions from its top left

with placed as (
    select
        evidence.*,
        coalesce(clusters.cluster_id, evidence.sample_id) as cluster_id,
        list_position(['exact', 'copy', 'partial_copy', 'similar'], evidence.verdict) as strength
    from matches.evidence
    left join duplicates.clusters using (sample_id)
    where evidence.verdict is not null
),

best_of_cluster as (
    select *
    from placed
    qualify row_number() over (
        partition by generation_id, cluster_id order by strength, copy_score desc, sample_id
    ) = 1
)

select
    found.generation_id,
    row_number() over (
        partition by found.generation_id order by found.strength, found.copy_score desc, found.sample_id
    ) as rank,
    found.sample_id,
    found.cluster_id,
    found.verdict,
    found.p_value,
    (
        select coalesce(min(significance.q_value), 1)
        from matches.significance
        where significance.p_value >= found.p_value
    ) as q_value,
    coalesce(counts.duplicate_count, 1) as duplicate_count,
    found.copy_score,
    found.pdq_distance,
    found.aligned_distance,
    found.inliers,
    found.mirrored,
    found.region,
    samples.dataset,
    samples.url,
    samples.url_host,
    samples.caption,
    samples.license,
    samples.recalled
from best_of_cluster as found
join catalog.samples using (sample_id)
left join duplicates.counts using (cluster_id)
