-- One row per host that serves what some generation resembles, those with the most copies first, at most $most.
select host, copies, similar_only, copied_pictures, only_here, rows, licenses
from provenance.rightsholders
order by copies desc, generations desc, host
limit $most
