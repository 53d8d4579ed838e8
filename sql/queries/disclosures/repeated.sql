-- One row: different pictures that more than one training row shows, and these rows; withdrawn rows are not counted.
select count(*) as pictures, coalesce(sum(duplicate_count), 0)::bigint as rows
from duplicates.counts
