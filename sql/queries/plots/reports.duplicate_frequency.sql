-- The count of clusters of each band.
select 'shown ' || band || ' times', clusters
from reports.duplicate_frequency
