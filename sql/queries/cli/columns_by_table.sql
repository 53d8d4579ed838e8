-- One row per column of the published file, for completion: its table, `stage.table`, and its name.
select schema_name || '.' || table_name, column_name
from duckdb_columns()
where not internal
order by schema_name, table_name, column_index
