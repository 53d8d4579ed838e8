-- Every table and macro of the published file, and what a row of it is: `.tables` at the prompt of `raisonne sql`.
select name as table, regexp_replace(split_part(comment, chr(10), 1), '^One row per ', '') as "one row per"
from (
    select 1 as kind, schema_name || '.' || table_name as name, comment from duckdb_tables() where not internal
    union all
    select 1, schema_name || '.' || view_name, comment from duckdb_views() where not internal
    union all
    select 2, function_name || '(' || array_to_string(parameters, ', ') || ')', comment
    from duckdb_functions() where not internal and function_type = 'table_macro'
)
order by kind, name
