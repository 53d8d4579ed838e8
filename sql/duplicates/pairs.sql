-- One row per unordered pair of training rows that may show the same picture, with the test that says so.
-- Equal fingerprints are tied to their lowest id (n - 1 pairs, not n(n - 1)/2): a picture held a million times stays
-- linear. A pair that embeddings propose is not compared by pixels where other pairs already tie its ends, or where
-- pixels refused eight closer pairs of the same two groups of copies.
-- unique: sample_id_a, sample_id_b
-- not_null: sample_id_a, sample_id_b, method, distance, threshold
-- assert: sample_id_a < sample_id_b
-- assert: method in ('sha256', 'pixels', 'pdq', 'aligned', 'similar', 'decided')
-- assert: method <> 'decided' or decision = 'same'
-- assert: distance <= threshold
-- assert: copy_score between -1 and 1
-- assert: distance >= 0
-- column sample_id_a: the row with the lower id
-- column sample_id_b: the row with the higher id
-- column pdq_distance: differing bits of 256 between the two hashes
-- column aligned_distance: root mean square of aligned pixels, where these were compared
-- column inliers: matched local features that agree on one geometry
-- column method: sha256 (same bytes), pixels (same decoded pixels), pdq (perceptual hash), aligned (confirmed by aligned pixels), similar (close in embedding, not confirmed: not duplicates), decided (nothing but a decision found it)
-- column distance: sha256, pixels: 0; pdq: bits of 256; aligned: root mean square of aligned pixels; similar: 1 - cosine; decided: 0
-- column threshold: the largest distance the method admits
-- column copy_score: cosine of the copy embeddings, where they were compared
-- column decision: same or different, where it was decided of their pictures; duplicates.clusters follows it
-- column decided_by: who decided so
-- column failure: why the two could not be compared by pixels, so that they are not duplicates; NULL where they could, or need not be

with decided as (
    select picture_a, picture_b, answer, decided_by
    from catalog.decisions
    where kind = 'pair' and standing = 'in force' and answer in ('same', 'different')
),

-- the few rows that show a picture of which something was decided
named as (
    select images.sample_id, images.pixel_sha256
    from fingerprints.images as images
    semi join (select picture_a as picture from decided union select picture_b from decided) as pictures
        on pictures.picture = images.pixel_sha256
    where images.status <> 'failed'
),

found as (
    select
        pairs.*,
        decided.answer as decision,
        decided.decided_by,
        decided.picture_a as decided_a,
        decided.picture_b as decided_b
    from lance_duplicate_pairs as pairs
    semi join fingerprints.images as a on a.sample_id = pairs.sample_id_a
    semi join fingerprints.images as b on b.sample_id = pairs.sample_id_b
    left join named as first on first.sample_id = pairs.sample_id_a
    left join named as second on second.sample_id = pairs.sample_id_b
    left join decided
        on decided.picture_a = least(first.pixel_sha256, second.pixel_sha256)
        and decided.picture_b = greatest(first.pixel_sha256, second.pixel_sha256)
        and first.pixel_sha256 is not null
        and second.pixel_sha256 is not null
),

-- a tie between pictures that no test brought together: of the first row that shows each
tied as (
    select least(min(a.sample_id), min(b.sample_id)) as sample_id_a,
        greatest(min(a.sample_id), min(b.sample_id)) as sample_id_b, any_value(decided.decided_by) as decided_by
    from decided
    join named as a on a.pixel_sha256 = decided.picture_a
    join named as b on b.pixel_sha256 = decided.picture_b
    anti join found on found.decided_a = decided.picture_a and found.decided_b = decided.picture_b
    where decided.answer = 'same'
    group by decided.picture_a, decided.picture_b
)

select
    * exclude (decided_a, decided_b)
    replace (bounded_cosine(copy_score) as copy_score, greatest(distance, 0) as distance)
from found
union all by name
select sample_id_a, sample_id_b, 'decided' as method, 0 as distance, 0 as threshold, 'same' as decision, decided_by
from tied
