-- One row: how many generations there are, and what each of them was compared with at least. Without p-values, hashes
-- alone were searched.
select count(*) as generations, coalesce(min(searched) filter (where verdict <> 'not_searched'), 0) as searched,
    coalesce(max(searchable), 0) as searchable, coalesce(max(required_coverage), 0) as required,
    coalesce(bool_and(p_value is null) filter (where verdict <> 'not_searched'), false) as by_hashes
from provenance.generations
