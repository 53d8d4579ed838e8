-- The 20 hosts and verdicts with most copies.
select host || ': ' || verdict, copies
from provenance.rightsholders
order by copies desc, 1 limit 20
