-- The 20 most frequent failures and their counts of rows.
select failure, rows
from fingerprints.failures
order by rows desc, 1 limit 20
