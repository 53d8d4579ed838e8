-- A macro with its parameters, meaning and definition: `.schema MACRO` at the prompt of `raisonne sql`.
-- $1: the macro.
select
    function_name || '(' || array_to_string(parameters, ', ') || ')' as macro,
    coalesce(comment, '') as meaning,
    macro_definition as definition
from duckdb_functions()
where not internal and function_name = lower($1)
