-- One row per URL that at least two training rows list, in whatever spelling. Recalled rows do not count.
-- Two spellings are one URL if they are one after normalisation: see `duplicates.url_keys`.
-- unique: normalised_url
-- not_null: normalised_url, rows, spellings, distinct_captions, distinct_pictures, pictures_known
-- assert: rows >= 2
-- assert: spellings between 1 and rows
-- assert: distinct_pictures <= pictures_known
-- assert: pictures_known <= rows
-- assert: (same_picture is null) = (pictures_known < 2)
-- column normalised_url: the URL without what is dropped
-- column url_host: its host, without `www.` and port; NULL where there is none
-- column rows: training rows that list it
-- column spellings: different URLs, as written
-- column distinct_captions: different normalised captions of the rows
-- column distinct_pictures: different pictures among the rows whose picture is known
-- column pictures_known: rows whose picture could be decoded
-- column same_picture: whether all known pictures are one; NULL where fewer than two are known

-- most URLs are listed once: they are dropped by their numbers, before any text is read
with numbers as (
    select url_number
    from duplicates.row_keys
    where url_number is not null
    group by url_number
    having count(*) > 1
),

normalised as materialized (
    select
        samples.sample_id,
        samples.url,
        url_host(samples.url) as url_host,
        normalised_url(samples.url) as normalised_url
    from duplicates.row_keys as keys
    semi join numbers using (url_number)
    join catalog.samples as samples using (sample_id)
),

shared as (
    select normalised.*
    from normalised
    semi join (select normalised_url from normalised group by normalised_url having count(*) > 1) as repeated
        using (normalised_url)
)

select
    shared.normalised_url,
    any_value(shared.url_host) as url_host,
    count(*) as rows,
    count(distinct shared.url) as spellings,
    count(distinct normalised_caption(samples.caption)) as distinct_captions,
    count(distinct coalesce(clusters.cluster_id, images.sample_id)) as distinct_pictures,
    count(images.sample_id) as pictures_known,
    case when pictures_known > 1 then distinct_pictures = 1 end as same_picture
from shared
join catalog.samples as samples using (sample_id)
left join fingerprints.images as images on images.sample_id = shared.sample_id and images.status <> 'failed'
left join duplicates.clusters as clusters on clusters.sample_id = images.sample_id
group by shared.normalised_url
order by rows desc, normalised_url
