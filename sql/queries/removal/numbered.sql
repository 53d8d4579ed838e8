-- One row per cluster: its size, and a number that fits into 32 bits.
select cluster_id, duplicate_count as size, row_number() over (order by cluster_id) - 1 as number
from duplicates.counts
