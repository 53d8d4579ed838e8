-- One row: how many generations there are, how many of them were searched, and the least number of rows that one of
-- these was compared with.
select count(*) as generations, count(*) filter (where verdict <> 'not_searched') as compared,
    coalesce(min(searched) filter (where verdict <> 'not_searched'), 0) as searched,
    coalesce(max(searchable), 0) as searchable
from provenance.generations
