-- How much of the training set the generations were compared with, as text.
select coalesce(max(format('{:,} of {:,} training rows ({:.1f}%)', searched, searchable, 100 * coverage)),
    'nothing')
from provenance.generations
