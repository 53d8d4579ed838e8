-- How much of the training set the generations were compared with, as text. Without p-values, hashes alone were searched.
select coalesce(max(format('{:,} of {:,} training rows ({:.1f}%)', searched, searchable, 100 * coverage))
    || if(bool_and(p_value is null) filter (where verdict <> 'not_searched'), ', by hashes alone', ''),
    'nothing')
from provenance.generations
