-- The count of clusters of copies, as text.
select format('{:,}', count(*)) from duplicates.counts
