-- The columns of a table with types and meanings: `.schema TABLE` at the prompt of `raisonne sql`.
-- $1: the table, with or without its stage.
select column_name as column, data_type as type, coalesce(comment, '') as meaning
from duckdb_columns()
where schema_name || '.' || table_name = lower($1) or table_name = lower($1)
order by schema_name, table_name, column_index
