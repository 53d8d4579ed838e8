-- One row per reason for which pictures could not be used, with an example.
-- unique: dataset, failure
-- not_null: dataset, failure, rows, not_downloaded, missing, example_id, example_member
-- column dataset: name of the dataset in the settings
-- column failure: the reason, in plain words
-- column rows: training rows that failed for it
-- column example_id: one of these rows
-- column not_downloaded: the dump's own report says that these pictures were never downloaded
-- column missing: the dump names these pictures and holds no bytes of them
-- column example_member: the picture's name in the dump; of one that was never downloaded its URL, or its row

select
    images.dataset,
    images.failure,
    images.not_downloaded,
    images.missing,
    count(*) as rows,
    min(sample_id) as example_id,
    min_by(
        coalesce(nullif(images.member, ''), samples.url, format('row {} of {}', samples.row_number, samples.shard)),
        sample_id
    ) as example_member
from fingerprints.images
join catalog.samples using (sample_id)
where images.status = 'failed'
group by all
order by rows desc, dataset, failure
