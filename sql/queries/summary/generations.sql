-- The count of generations with each verdict, and of files that are no generation, as text.
with verdicts as (
    select verdict, count(*) as n,
        count(*) filter (where not conclusive and verdict <> 'not_searched') as inconclusive
    from provenance.generations
    group by verdict
),

others as (
    select sum(files)::bigint as files
    from catalog.not_taken
    where part = 'generations' and not starts_with(reason, 'a picture that no row of a table names')
)

select concat_ws(
    ', ',
    coalesce(
        string_agg(
            format('{:,} {}{}', n, verdict, if(inconclusive > 0, format(' ({:,} inconclusive)', inconclusive), '')),
            ', ' order by verdict
        ),
        'none'
    ),
    (select format('{:,} not taken', files) from others where files > 0)
)
from verdicts
