-- How many training rows have a picture of each status, as text.
select format('{:,} ok, {:,} low quality, {:,} failed, {:,} missing',
    count(*) filter (where images.status = 'ok'), count(*) filter (where images.status = 'low_quality'),
    count(*) filter (where images.status = 'failed'), count(*) filter (where images.status is null))
from catalog.samples left join fingerprints.images using (sample_id)
