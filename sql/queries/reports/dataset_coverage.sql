-- One row per dataset and fingerprint: the rows to fingerprint, and what became of them.
select dataset, fingerprint, expected, ok, low_quality, failed, missing
from fingerprints.coverage
order by dataset, fingerprint
