-- For each fingerprint, how many pictures have it and how many should, as text.
select coalesce(string_agg(format('{} {:,} of {:,}', fingerprint, ok, expected), ', ' order by fingerprint),
    'none')
from (select fingerprint, sum(ok)::bigint as ok, sum(expected)::bigint as expected
      from fingerprints.coverage group by fingerprint)
