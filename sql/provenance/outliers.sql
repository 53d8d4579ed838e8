-- One row per picture that was scored: the confirmed sources, and a sample of training pictures to rank them among.
-- A source of duplicate_count 1 and a high percentile is the unique picture that was memorized all the same.
-- Carlini et al. 2023 (section 4.3) score rows by their nearest rows, in CLIP; there a repeated picture is no outlier.
-- Here neighbours are the representatives of other clusters, in the copy embedding, so that the score says how unusual
-- a picture is and duplicate_count how often it was shown.
-- unique: cluster_id
-- not_null: cluster_id, score, neighbours, sampled, percentile, sample_size, duplicate_count, copied_by
-- assert: percentile between 0 and 1
-- assert: score between 0 and 2
-- assert: sampled or sample_size > 0
-- column cluster_id: the cluster, or the row's own id where no other row shows the picture
-- column score: mean cosine distance of its representative to the nearest representatives of other clusters
-- column neighbours: how many those are: `memorization.outlier_neighbours`, or all there are
-- column sampled: whether it belongs to the sample, which is chosen by a digest of the pixels
-- column percentile: share of the sample that scores no more
-- column sample_size: pictures of the sample
-- column duplicate_count: training rows that show it and are not recalled; 0 where all of them are
-- column copied_by: generations that copy it, confirmed by pixels (exact, copy or partial_copy; altered copies are not counted)

with sample as (
    select score, count(*) over (order by score range unbounded preceding) as no_more
    from lance_outlier_scores
    where sampled
),

total as (
    select count(*) as pictures from sample
),

copied as (
    select cluster_id, count(distinct generation_id) as generations
    from provenance.memorization
    group by cluster_id
)

select
    scores.cluster_id,
    greatest(0.0::double, least(2.0::double, scores.score)) as score,
    scores.neighbours,
    scores.sampled,
    coalesce((select max(no_more) from sample where sample.score <= scores.score), 0)
    / nullif(total.pictures, 0)::double as percentile,
    total.pictures as sample_size,
    coalesce(pictures.copies, 0) as duplicate_count,
    coalesce(copied.generations, 0) as copied_by
from lance_outlier_scores as scores
cross join total
left join duplicates.pictures using (cluster_id)
left join copied using (cluster_id)
order by scores.score desc, scores.cluster_id
