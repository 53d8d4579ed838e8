-- The count of clusters of copies and the greatest duplicate count, as text; 1 where nothing is repeated.
select format('{:,}, the largest of {:,} rows', count(*), coalesce(max(duplicate_count), 1)) from duplicates.counts
