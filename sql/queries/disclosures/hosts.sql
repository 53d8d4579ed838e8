-- One row per host that the URLs of the datasets in $datasets name: rows, pictures and their bytes.
select
    samples.url_host as host,
    count(*) as rows,
    count(*) filter (where samples.recalled) as withdrawn,
    count(images.bytes) as rows_with_bytes,
    coalesce(sum(images.bytes), 0)::bigint as bytes
from catalog.samples as samples
left join fingerprints.images as images using (sample_id)
where samples.url_host is not null and list_contains($datasets, samples.dataset)
group by samples.url_host
