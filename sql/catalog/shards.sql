-- One row per shard: a metadata file and the image dump (tar, parquet or folder) of the same name, as found on the last look.
-- Nothing is left out in silence: a file that could not be used is here with its reason.
-- unique: dataset, shard
-- not_null: shard_id, dataset, shard, status, images_gone, rights_read
-- assert: status in ('ok', 'images_only', 'broken', 'failed')
-- assert: (status = 'failed') = (failure is not null)
-- assert: status <> 'broken' or broken is not null
-- warn: status not in ('broken', 'failed')
-- column dataset: name of the dataset in the settings
-- column shard: name of the metadata file or the dump, without its ending
-- column rows: training rows that the metadata file lists
-- column metadata_path: the metadata file; NULL where there is none
-- column images_path: the image dump; NULL where there is none
-- column images_gone: whether the dump's files are gone since they were fingerprinted; the fingerprints stay in use, and what needs the pixels waits for the files
-- column unlisted_examples: names of some of them
-- column shard_id: the high bits of the ids of its rows
-- column status: ok, images_only (a dump without metadata of the same name), broken (its dump cannot be read whole, or none of its pictures has a row), or failed (its metadata cannot be used)
-- column failure: why the metadata file could not be used, and what to do
-- column repaired_rows: rows whose text was not UTF-8; each broken byte became U+FFFD, or its letter in a Windows-1252 CSV
-- column pictures: pictures in the dump; NULL until it is fingerprinted
-- column unlisted: pictures in the dump that no metadata row lists; they have no training row, so only this column counts them
-- column contradictions: pictures that agree with a row in one thing, such as the key, and differ in another, such as the URL
-- column contradiction_examples: some of them in words
-- column seconds: what fingerprinting it took
-- column rights_read: whether its files were read for what they say of their use; of one that was not, catalog.rights knows nothing
-- column broken: why the dump cannot be read, or where it breaks off, or that none of its pictures has a row

with described as (
    select
        landing.* exclude (failure, images_gone),
        coalesce(landing.images_gone, false) as images_gone,
        -- a dump that holds its rows itself has no other file that could be at fault
        landing.images_path is not null and coalesce(landing.metadata_path = landing.images_path, true) as rows_of_dump,
        if(rows_of_dump, null, landing.failure) as failure,
        prints.pictures,
        prints.unlisted,
        prints.unlisted_examples,
        prints.contradictions,
        prints.contradiction_examples,
        prints.seconds,
        rights.shard_id is not null as rights_read,
        case
            when landing.images_path is null then null
            when rows_of_dump and landing.failure is not null then landing.failure
            else prints.broken
        end as broken
    from lance_landing_shards as landing
    left join lance_fingerprinted_shards as prints
        on prints.shard_id = landing.shard_id and prints.fingerprint = 'hashes'
    left join lance_fingerprinted_shards as rights
        on rights.shard_id = landing.shard_id and rights.fingerprint = 'rights' and rights.recipe <> ''
)

select
    shard_id,
    dataset,
    shard,
    case when failure is not null then 'failed' when broken is not null then 'broken' else status end as status,
    failure,
    rows,
    repaired_rows,
    metadata_path,
    images_path,
    images_gone,
    pictures,
    unlisted,
    unlisted_examples,
    contradictions,
    contradiction_examples,
    broken,
    seconds,
    rights_read
from described
order by dataset, shard
