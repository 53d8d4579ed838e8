-- One row per shard: a metadata file and the image dump (tar, parquet or folder) of the same name, as found on the last look.
-- Nothing is left out in silence: a file that could not be used is here with its reason.
-- unique: dataset, shard
-- not_null: shard_id, dataset, shard, status
-- assert: status in ('ok', 'images_only', 'failed')
-- assert: (status = 'failed') = (failure is not null)
-- column shard_id: the high bits of the ids of its rows
-- column status: ok, images_only (a dump without metadata of the same name), or failed
-- column failure: why the metadata file could not be used, and what to do
-- column repaired_rows: rows whose text was not UTF-8; each broken byte became U+FFFD, or its letter in a Windows-1252 CSV
-- column unlisted: pictures in the dump that no metadata row lists; they have no training row, so nothing counts them
-- column contradictions: pictures that agree with a row in one thing, such as the key, and differ in another, such as the URL
-- column contradiction_examples: some of them in words
-- column seconds: what fingerprinting it took
-- column broken: why the dump cannot be read, or where it breaks off

select
    landing.shard_id,
    landing.dataset,
    landing.shard,
    landing.status,
    landing.failure,
    landing.rows,
    landing.repaired_rows,
    landing.metadata_path,
    landing.images_path,
    prints.pictures,
    prints.unlisted,
    prints.unlisted_examples,
    prints.contradictions,
    prints.contradiction_examples,
    prints.broken,
    prints.seconds
from lance_landing_shards as landing
left join lance_fingerprinted_shards as prints
    on prints.shard_id = landing.shard_id and prints.fingerprint = 'hashes'
order by landing.dataset, landing.shard
