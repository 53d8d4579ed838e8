-- One row per column of $table that the data dictionary explains.
select column_name, comment
from duckdb_columns()
where schema_name || '.' || table_name = $table and comment is not null
