-- One row: the names of the datasets, and the totals of the duplicate-frequency report.
select
    coalesce(
        (select string_agg(dataset, ', ' order by dataset) from (select distinct dataset from catalog.samples)),
        'no dataset'
    ) as title,
    (select count(*) from catalog.samples) as rows,
    (
        select count(*)
        from catalog.samples
        join fingerprints.images using (sample_id)
        where coalesce(not regexp_matches(images.failure, '^(not downloaded|missing):'), true)
    ) as images,
    count(*) as clusters,
    coalesce(sum(duplicate_count), 0)::bigint as rows_in_clusters,
    coalesce(max(duplicate_count), 1) as largest,
    (select count(*) from reports.repeated_by_host) as all_hosts,
    (select count(*) from reports.repeated_by_license) as all_licences
from duplicates.counts
