-- One row: the training rows and their pictures, all datasets together. `withdrawn` rows are among `rows`.
select
    count(*) as rows,
    count(samples.url) as rows_with_url,
    count(samples.caption) as rows_with_caption,
    coalesce(sum(strlen(samples.caption)), 0)::bigint as caption_bytes,
    count(*) filter (where samples.recalled) as withdrawn,
    count(images.sample_id) filter (where images.status <> 'failed') as pictures,
    count(images.sample_id) filter (where images.status = 'failed') as failed,
    sum(images.bytes)::bigint as bytes,
    count(images.bytes) as rows_with_bytes
from catalog.samples as samples
left join fingerprints.images as images using (sample_id)
