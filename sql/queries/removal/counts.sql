-- One row: rows of the warehouse, what becomes of them, and what those that stay lack.
select count(*), count(*) filter (where leaving.reason in ('duplicate', 'decided')),
    count(*) filter (where leaving.reason = 'recalled'),
    count(*) filter (where leaving.reason is null and samples.url is null),
    count(*) filter (where leaving.reason is null and coalesce(images.status, 'failed') = 'failed')
from catalog.samples as samples
left join leaving using (sample_id)
left join fingerprints.images as images using (sample_id)
