-- One row per dataset and fingerprint: the rows to fingerprint, and what became of them. A version of an earlier release
-- does not tell pictures that were never downloaded from those that cannot be read.
select dataset, fingerprint, expected, ok, low_quality, failed, missing, absent as not_downloaded
from
    (select 0 as not_downloaded) as earlier,
    lateral (select *, not_downloaded as absent from fingerprints.coverage) as coverage
order by dataset, fingerprint
