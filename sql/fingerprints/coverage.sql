-- One row per dataset and fingerprint: of all training rows, how many can be compared by it?
-- unique: dataset, fingerprint
-- not_null: dataset, fingerprint, expected, ok, low_quality, failed, missing
-- assert: expected = ok + low_quality + failed + missing
-- assert: missing >= 0
-- column fingerprint: sha256 (bytes), pdq (perceptual hash) or the copy encoder (embedding)
-- column expected: training rows of the dataset
-- column low_quality: rows whose picture is too flat for this fingerprint
-- column failed: rows whose picture could not be read
-- column missing: rows without a picture in the image dump

with rows as (
    select samples.dataset, images.status
    from catalog.samples
    left join fingerprints.images using (sample_id)
),

kinds as (
    select 'sha256' as fingerprint, false as needs_texture
    union all select 'pdq', true
    union all select copy_encoder, false from settings
)

select
    rows.dataset,
    kinds.fingerprint,
    count(*) as expected,
    count(*) filter (where status = 'ok' or (status = 'low_quality' and not needs_texture)) as ok,
    count(*) filter (where status = 'low_quality' and needs_texture) as low_quality,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status is null) as missing
from rows
cross join kinds
group by all
order by all
