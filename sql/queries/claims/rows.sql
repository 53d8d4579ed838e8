-- One row per claimed picture and training row that shows what it matches, with the strongest verdict of any match.
select
    found.picture,
    found.verdict,
    samples.dataset,
    samples.shard,
    samples.row_number,
    samples.sample_id,
    samples.url,
    samples.url_host as host,
    samples.caption,
    samples.license as licence,
    samples.recalled as withdrawn,
    images.sha256,
    if(images.status = 'ok', images.pdq, null) as pdq
from (
    select picture, sample_id, verdict
    from claim_matches
    qualify row_number() over (partition by picture, sample_id order by strength, match) = 1
) as found
join catalog.samples using (sample_id)
left join fingerprints.images as images using (sample_id)
order by found.picture, verdict_rank(found.verdict), samples.sample_id
