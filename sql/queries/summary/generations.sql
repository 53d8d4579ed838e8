-- The count of generations with each verdict, as text.
select coalesce(
    string_agg(
        format('{:,} {}{}', n, verdict, if(inconclusive > 0, format(' ({:,} inconclusive)', inconclusive), '')),
        ', ' order by verdict),
    'none')
from (select verdict, count(*) as n,
        count(*) filter (where not conclusive and verdict <> 'not_searched') as inconclusive
      from provenance.generations group by verdict)
