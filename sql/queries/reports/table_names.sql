-- One row per table or view: its name as queries write it, and what the data dictionary says of it.
select schema_name || '.' || table_name as name, comment
from (
    select schema_name, table_name, comment from duckdb_tables()
    union all
    select schema_name, view_name, comment from duckdb_views()
)
