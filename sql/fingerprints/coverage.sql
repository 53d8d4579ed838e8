-- One row per dataset and fingerprint: of all training rows, how many can be compared by it?
-- unique: dataset, fingerprint
-- not_null: dataset, fingerprint, expected, ok, low_quality, failed, missing, not_downloaded, not_taken
-- assert: expected = ok + low_quality + failed + missing
-- assert: expected = (select count(*) from catalog.samples where samples.dataset = coverage.dataset)
-- assert: missing >= 0
-- assert: not_downloaded between 0 and failed
-- column dataset: name of the dataset in the settings
-- column ok: rows that can be compared by this fingerprint
-- column fingerprint: sha256 (bytes), pdq (perceptual hash), or an encoder (embedding)
-- column expected: training rows of the dataset
-- column low_quality: rows whose picture is too flat for this fingerprint
-- column failed: rows whose picture could not be read, or not be downloaded
-- column not_downloaded: of the failed rows, those that the dump's own report says were never downloaded
-- column not_taken: files that were found with the dataset and became no row, whatever the fingerprint; catalog.not_taken says why
-- column missing: rows of which the image dump holds no picture, or not fingerprinted by this encoder yet

with kinds as (
    select 'sha256' as fingerprint, 'hashes' as made_by
    union all select 'pdq', 'hashes'
    union all select copy_encoder, 'copy' from settings where copy_encoder is not null
    union all select semantic_encoder, 'semantic' from settings where semantic_encoder is not null
),

vectors as (
    select sample_id, 'copy' as made_by from lance_copy_embeddings
    union all select sample_id, 'semantic' from lance_semantic_embeddings
),

others as (
    select dataset, sum(files)::bigint as files
    from catalog.not_taken
    where part <> 'second dump'
    group by dataset
),

rows as (
    select
        samples.dataset,
        kinds.fingerprint,
        case
            when images.status is null or images.missing then 'missing'
            when images.status = 'failed' then 'failed'
            when kinds.made_by = 'hashes' then if(kinds.fingerprint = 'pdq', images.status, 'ok')
            when vectors.sample_id is not null then 'ok'
            else 'missing'
        end as state,
        coalesce(images.not_downloaded, false) as not_downloaded
    from catalog.samples
    cross join kinds
    left join fingerprints.images using (sample_id)
    left join vectors on vectors.sample_id = samples.sample_id and vectors.made_by = kinds.made_by
)

select
    dataset,
    fingerprint,
    count(*) as expected,
    count(*) filter (where state = 'ok') as ok,
    count(*) filter (where state = 'low_quality') as low_quality,
    count(*) filter (where state = 'failed') as failed,
    count(*) filter (where state = 'missing') as missing,
    count(*) filter (where not_downloaded) as not_downloaded,
    coalesce(any_value(others.files), 0) as not_taken
from rows
left join others using (dataset)
group by dataset, fingerprint
order by all
