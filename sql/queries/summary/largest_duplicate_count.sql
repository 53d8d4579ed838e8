-- The greatest duplicate count of all clusters, as text; 1 where nothing is repeated.
select format('{:,}', coalesce(max(duplicate_count), 1)) from duplicates.counts
