-- A row per entry that names a picture and training row that shows it as pixels or structure confirm (the method is the
-- verdict), or that shows a picture one confirmed pair away from such a row (duplicate), with the evidence.
with confirmed as (
    select shown.entry, unhex(copies.pixel_sha256) as pixel_sha256, copies.* exclude (listed_sha256, pixel_sha256)
    from listed_copies as copies
    join shown using (listed_sha256)
),

direct as (
    select confirmed.* exclude (pixel_sha256, sample_id), confirmed.sample_id as laid_over, rows.sample_id
    from confirmed
    join pixels as rows using (pixel_sha256)
),

ties as (
    select sample_id_a as sample_id, sample_id_b as other_id
    from pairs
    union all
    select sample_id_b, sample_id_a
    from pairs
),

tied as (
    select distinct on (direct.entry, other.pixel_sha256) direct.* exclude (sample_id), other.pixel_sha256
    from direct
    join ties using (sample_id)
    join pixels as other on other.sample_id = ties.other_id
    anti join confirmed on confirmed.entry = direct.entry and confirmed.pixel_sha256 = other.pixel_sha256
    order by direct.entry, other.pixel_sha256, direct.laid_over
),

found as (
    select *, verdict as method, pdq_distance as distance
    from direct
    where verdict <> 'exact'  -- equal bytes and pixels are found without
    union all by name
    select tied.* exclude (pixel_sha256), rows.sample_id, 'duplicate' as method, null as distance
    from tied
    join pixels as rows using (pixel_sha256)
)

select
    entry,
    sample_id,
    method,
    distance,
    laid_over,
    copy_score,
    aligned_distance,
    inliers,
    overlap_listed,
    overlap_training
from found
