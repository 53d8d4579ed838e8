-- The count of clusters of copies and the greatest duplicate count, as text.
select if(count(*) = 0, '0', format('{:,}, the largest of {:,} rows', count(*), coalesce(max(duplicate_count), 1)))
from duplicates.counts
