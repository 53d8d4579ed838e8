-- One row per band of the duplicate frequency, the lowest first.
select frequency.band, clusters, rows, share_of_rows
from reports.duplicate_frequency as frequency
join duplicates.bands using (band)
order by bands.first
