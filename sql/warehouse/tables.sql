-- One row per table of this version: in which version was it made? Unchanged ones are copied from the one before.
-- unique: table_name
-- not_null: table_name, made_in, recipe
-- column table_name: its name in queries
-- column made_in: number of the version that made it, or that replaced the rows of some shards (see warehouse.shards) or clusters
-- column recipe: of the facts, settings, SQL and tables that it was made of; empty for a table that each version makes anew
-- column shared_recipe: likewise, without the rows of shards and clusters, of a table whose rows are replaced shard by shard or cluster by cluster; NULL for others

select table_name, made_in, recipe, shared_recipe
from made_tables
order by table_name
