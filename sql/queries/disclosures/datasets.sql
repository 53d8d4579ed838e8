-- One row per dataset: its training rows and their pictures. `withdrawn` rows are among `rows`.
select
    samples.dataset,
    count(*) as rows,
    count(samples.url) as rows_with_url,
    count(distinct samples.url_host) as hosts,
    count(samples.caption) as rows_with_caption,
    count(samples.license) as rows_with_licence,
    count(*) filter (where samples.recalled) as withdrawn,
    count(images.sample_id) filter (where images.status <> 'failed') as pictures,
    count(images.sample_id) filter (where images.status = 'failed') as failed,
    sum(images.bytes)::bigint as bytes
from catalog.samples as samples
left join fingerprints.images as images using (sample_id)
group by samples.dataset
order by samples.dataset
