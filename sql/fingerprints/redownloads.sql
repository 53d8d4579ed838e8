-- One row per training row whose dump was downloaded again: is it still the same picture?
-- Links rot and hosts re-encode: bytes that changed say little, the decoded picture says more.
-- unique: sample_id
-- not_null: sample_id, dataset, outcome
-- assert: outcome in ('same_bytes', 'same_picture', 'different_picture', 'unclear', 'gone', 'appeared', 'never')
-- assert: (outcome = 'same_bytes') = (coalesce(sha256 = sha256_again, false))
-- column sample_id: the training row
-- column dataset: its dataset
-- column sha256: of the file's bytes in the first dump
-- column sha256_again: of the file's bytes in the second dump
-- column outcome: same_bytes; same_picture (equal pixels, or PDQ within thresholds.pdq); different_picture; unclear (too flat for PDQ to tell, or the second dump breaks off before it); gone (readable before, not now); appeared (readable only now); never
-- column same_pixels: whether the decoded pictures are equal, pixel by pixel
-- column pdq_distance: differing bits of 256 between the two hashes
-- column failure_again: why the second download has no usable picture, in plain words

with again as (
    select dataset, shard, broken
    from lance_fingerprinted_shards
    where fingerprint = 'redownload' and recipe <> ''
),

-- a second dump's shard holds rows of the metadata of its name, or of the name it lies below, or else of any
held as (
    select again.dataset, again.shard, landing.shard as rows_of, again.broken
    from again
    left join lance_landing_shards as landing
        on landing.dataset = again.dataset
        and landing.status <> 'images_only'
        and (again.shard = landing.shard or starts_with(again.shard, landing.shard || '/'))
),

compared_shards as (
    select landing.dataset, landing.shard, max(held.broken) as broken
    from lance_landing_shards as landing
    join held on held.dataset = landing.dataset and coalesce(held.rows_of, landing.shard) = landing.shard
    group by all
),

rows as (
    select samples.sample_id, samples.dataset, compared_shards.broken
    from catalog.samples
    join compared_shards using (dataset, shard)
),

compared as (
    select
        rows.sample_id,
        rows.dataset,
        coalesce(before.status <> 'failed', false) as readable,
        coalesce(now.status <> 'failed', false) as readable_again,
        before.sha256,
        lower(hex(now.sha256)) as sha256_again,
        unhex(before.pixel_sha256) = now.pixel_sha256 as same_pixels,
        bit_count(xor(unhex(before.pdq)::bit, now.pdq::bit))::int as pdq_distance,
        least(before.pdq_quality, now.pdq_quality) >= settings.pdq_quality as comparable,
        settings.pdq,
        now.sample_id is null and rows.broken is not null as unread,
        coalesce(now.failure, if(now.sample_id is null, coalesce(rows.broken, 'not in the second dump'), null))
            as failure_again
    from rows
    cross join settings
    left join fingerprints.images as before using (sample_id)
    left join lance_redownload_fingerprints as now using (sample_id)
)

select
    sample_id,
    dataset,
    case
        when unread then 'unclear'
        when not readable and not readable_again then 'never'
        when not readable then 'appeared'
        when not readable_again then 'gone'
        when sha256 = sha256_again then 'same_bytes'
        when same_pixels then 'same_picture'
        when not comparable then 'unclear'
        when pdq_distance <= pdq then 'same_picture'
        else 'different_picture'
    end as outcome,
    same_pixels,
    pdq_distance,
    sha256,
    sha256_again,
    failure_again
from compared
