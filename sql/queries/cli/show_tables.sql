-- What `show tables` answers: every table of the published file by schema and name, and what a row of it is.
select schema_name as schema, name as table, regexp_replace(split_part(comment, chr(10), 1), '^One row per ', '') as "one row per"
from (
    select schema_name, table_name as name, comment from duckdb_tables() where not internal
    union all
    select schema_name, view_name, comment from duckdb_views() where not internal
)
order by schema_name, name
