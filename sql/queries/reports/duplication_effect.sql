-- One row per band: of the pictures trained on this often, how many came back. The lowest band first.
select effect.*
from provenance.duplication_effect as effect
join duplicates.bands using (band)
order by bands.first
