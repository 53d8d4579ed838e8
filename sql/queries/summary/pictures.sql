-- What became of the picture of every training row, and how many pictures and files became no row, as text.
select format(
    '{:,} ok, {:,} low quality, {:,} failed, {:,} not downloaded, {:,} missing, {:,} unlisted, {:,} not taken',
    count(*) filter (where images.status = 'ok'), count(*) filter (where images.status = 'low_quality'),
    count(*) filter (where images.status = 'failed' and not images.not_downloaded and not images.missing),
    count(*) filter (where images.not_downloaded),
    count(*) filter (where images.status is null or images.missing),
    (select coalesce(sum(unlisted), 0)::bigint from catalog.shards),
    (select coalesce(sum(files), 0)::bigint from catalog.not_taken where part in ('landing', 'dump')))
from catalog.samples left join fingerprints.images using (sample_id)
