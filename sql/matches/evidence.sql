-- One row per generation and training row that were compared pixel by pixel, with every measurement and its verdict.
-- unique: generation_id, sample_id
-- not_null: generation_id, sample_id, copy_score, p_value
-- assert: p_value > 0 and p_value <= 1
-- assert: verdict is null or verdict in ('exact', 'copy', 'partial_copy', 'similar')
-- column verdict: exact (same bytes or pixels), copy (the whole picture, confirmed by aligned pixels), partial_copy (a region, so confirmed), similar (close in embedding, not confirmed); NULL where nothing holds
-- column copy_score: best cosine of the copy embeddings over the searched parts of the generation
-- column p_value: how often a picture that is not in the training set has a best match this strong
-- column pdq_distance: bits of 256, the least over 8 rotations and reflections; NULL where a hash says nothing
-- column aligned_distance: root mean square of aligned pixels in [0, 1]
-- column inliers: matched local features that agree on one geometry
-- column region: the shared part on the generation, as fractions from its top left
-- column failure: why the pictures could not be compared

with background as (
    select score, count(*) over (order by score desc range unbounded preceding) as as_strong
    from lance_null_scores
),

total as (
    select count(*) as pictures from lance_null_scores
),

scored as (
    select
        found.*,
        -- the picture itself counts among those as strong as it: an empirical p-value is never 0 (Davison & Hinkley 1997)
        (1 + coalesce((select max(as_strong) from background where background.score >= found.copy_score), 0))
        / (1 + total.pictures)::double as p_value
    from lance_match_evidence as found
    semi join fingerprints.images as images using (sample_id)
    semi join catalog.generations as generations using (generation_id)
    cross join total
)

select
    generation_id,
    sample_id,
    case
        when same_bytes or same_pixels then 'exact'
        when confirmed and whole then 'copy'
        when confirmed then 'partial_copy'
        when copy_score >= settings.similar or pdq_distance <= settings.pdq then 'similar'
    end as verdict,
    copy_score,
    p_value,
    pdq_distance,
    scored.aligned_distance,
    scored.inliers,
    mirrored,
    overlap_generation,
    overlap_source,
    {'x': x, 'y': y, 'width': width, 'height': height} as region,
    failure
from scored
cross join settings
