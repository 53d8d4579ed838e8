-- One row per dataset: do the counts add up? Every training row is unique, clustered, or without a usable picture.
-- unique: dataset
-- assert: rows = unique_rows + clustered_rows + unusable_rows
-- column unique_rows: rows whose picture no other row shows
-- column clustered_rows: rows in a cluster of at least two
-- column unusable_rows: rows whose picture is missing or could not be read

select
    samples.dataset,
    count(*) as rows,
    count(*) filter (where images.status <> 'failed' and clusters.sample_id is null) as unique_rows,
    count(*) filter (where clusters.sample_id is not null) as clustered_rows,
    count(*) filter (where images.status is null or images.status = 'failed') as unusable_rows
from catalog.samples
left join fingerprints.images using (sample_id)
left join duplicates.clusters using (sample_id)
group by samples.dataset
order by samples.dataset
