-- One row per table whose rows are replaced shard by shard, and shard: in which version were its rows made?
-- They were made of the facts as that version read them, see `lance_versions` of warehouse.versions, and of what
-- `shared_recipe` of warehouse.tables stands for.
-- unique: table_name, shard_id
-- not_null: table_name, shard_id, made_in
-- column table_name: its name in queries
-- column shard_id: as in catalog.shards; a shard may have no rows in the table
-- column made_in: number of the version that made the rows of the shard; they are the same in all since

select table_name, shard_id, made_in
from made_shards
order by table_name, shard_id
