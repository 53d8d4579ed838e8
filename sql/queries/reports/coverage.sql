-- One row per fingerprint, over all datasets: the rows to fingerprint, and what became of them.
select fingerprint, sum(expected)::bigint as expected, sum(ok)::bigint as ok, sum(low_quality)::bigint as low_quality,
    sum(failed)::bigint as failed, sum(missing)::bigint as missing
from fingerprints.coverage
group by fingerprint
order by fingerprint
