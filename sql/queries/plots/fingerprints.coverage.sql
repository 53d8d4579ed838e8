-- The share of pictures that have each fingerprint, by dataset.
select dataset || ' by ' || fingerprint, ok / expected
from fingerprints.coverage
where expected > 0
order by 1
