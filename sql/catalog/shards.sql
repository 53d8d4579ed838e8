-- One row per shard: a metadata file and the image tar of the same name, as found on the last look.
-- Nothing is left out in silence: a file that could not be used is here with its reason.
-- unique: dataset, shard
-- not_null: shard_id, dataset, shard, status
-- assert: status in ('ok', 'images_only', 'failed')
-- assert: (status = 'failed') = (failure is not null)
-- column shard_id: the high bits of the ids of its rows
-- column status: ok, images_only (a tar without metadata of the same name), or failed
-- column failure: why the metadata file could not be used, and what to do
-- column repaired_rows: rows whose text was not UTF-8; each broken byte became U+FFFD
-- column unlisted: pictures in the tar that no metadata row lists; they have no training row, so nothing counts them
-- column broken: where the tar breaks off, if it does

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
    prints.broken
from lance_landing_shards as landing
left join lance_fingerprinted_shards as prints using (shard_id)
order by landing.dataset, landing.shard
