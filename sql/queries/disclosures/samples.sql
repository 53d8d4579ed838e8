-- The training rows, one a line, in the order of their ids: what the Croissant file describes.
select
    samples.sample_id,
    samples.dataset,
    samples.url,
    samples.caption,
    samples.license as licence,
    samples.language,
    images.width,
    images.height,
    images.bytes,
    images.sha256,
    coalesce(rights.reserved, false) as reserved,
    samples.recalled as withdrawn
from catalog.samples as samples
left join fingerprints.images as images using (sample_id)
left join catalog.rights as rights using (sample_id)
order by samples.sample_id
