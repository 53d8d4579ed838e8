-- One row per host: how many of its training rows share their picture with another row? Recalled rows do not count.
-- unique: host
-- not_null: host, rows, usable_rows, repeated_rows, repeated_pictures, largest_count
-- assert: repeated_rows <= usable_rows and usable_rows <= rows
-- assert: repeated_pictures <= repeated_rows
-- assert: (repeated_rows > 0) = (largest_count > 0)
-- column host: 'unknown' for rows whose URL names none
-- column rows: training rows of the host
-- column usable_rows: of these, rows whose picture could be compared
-- column repeated_rows: of these, rows whose picture some other row shows, of this host or another
-- column repeated_pictures: different pictures that they show; one of several hosts counts for each
-- column largest_count: training rows, of any host, that show the most repeated of them; 0 where none is repeated

select
    coalesce(samples.url_host, 'unknown') as host,
    count(*) as rows,
    count(*) filter (where images.status <> 'failed') as usable_rows,
    count(counts.cluster_id) as repeated_rows,
    count(distinct counts.cluster_id) as repeated_pictures,
    coalesce(max(counts.duplicate_count), 0) as largest_count
from catalog.samples
left join fingerprints.images using (sample_id)
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
where not samples.recalled
group by all
order by repeated_rows desc, host
