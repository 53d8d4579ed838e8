-- One row per fingerprint, over all datasets: the rows to fingerprint, and what became of them. A version of an earlier
-- release does not tell pictures that were never downloaded from those that cannot be read.
select fingerprint, sum(expected)::bigint as expected, sum(ok)::bigint as ok, sum(low_quality)::bigint as low_quality,
    sum(failed)::bigint as failed, sum(missing)::bigint as missing, sum(absent)::bigint as not_downloaded
from
    (select 0 as not_downloaded) as earlier,
    lateral (select *, not_downloaded as absent from fingerprints.coverage) as coverage
group by fingerprint
order by fingerprint
