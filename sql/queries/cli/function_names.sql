-- One row per function, for completion: its name, and whether it is a table macro of the published file.
select distinct function_name, not internal and function_type = 'table_macro'
from duckdb_functions()
where function_name ~ '[a-z_0-9]+'
order by 1
