-- One row per group of training rows with the same or nearly the same caption, of at least two rows.
-- Captions nearly equal if the Jaccard similarity of their words (in scripts without spaces: pairs of characters) reaches
-- the setting `thresholds.caption`. Each is that close to the one that its group is named after, so that a group does
-- not drift; the share of such captions that are tied to one is in `duplicates.methods`. Recalled rows do not count.
-- One caption with many pictures is a caption nobody wrote for one picture: a template, a default, a shop's name.
-- unique: group_key
-- not_null: group_key, caption, rows, spellings, exact_rows, normalised, min_similarity, distinct_urls, distinct_hosts,
--     pictures_known, distinct_pictures
-- assert: rows >= 2
-- assert: exact_rows between 1 and rows
-- assert: spellings between normalised and rows
-- assert: distinct_pictures <= pictures_known
-- assert: pictures_known <= rows
-- column distinct_urls: different URLs among the rows
-- column distinct_hosts: different hosts of these URLs
-- column group_key: MD5 of the normalised caption that the group is named after; see `duplicates.caption_keys`
-- column caption: the most frequent spelling, as written
-- column rows: training rows in the group
-- column spellings: different captions, as written
-- column exact_rows: rows with exactly `caption`
-- column normalised: different normalised captions
-- column min_similarity: least Jaccard similarity of a caption to the one that the group is named after
-- column distinct_pictures: different pictures among the rows whose picture is known
-- column pictures_known: rows whose picture could be decoded

-- most captions occur once: they are dropped by their numbers, before any text is read
with numbers as (
    select caption_number
    from duplicates.row_keys
    where caption_number is not null
    group by caption_number
    having count(*) > 1
    union
    select md5_number_lower(caption_key) from lance_caption_groups
),

likely as (
    select samples.sample_id, md5(normalised_caption(samples.caption)) as caption_key
    from duplicates.row_keys as keys
    semi join numbers using (caption_number)
    join catalog.samples as samples using (sample_id)
),

keyed as materialized (
    select
        likely.sample_id,
        likely.caption_key,
        coalesce(near.group_key, likely.caption_key) as group_key,
        coalesce(near.similarity, 1.0) as similarity
    from likely
    left join lance_caption_groups as near using (caption_key)
),

shared as materialized (
    select keyed.*
    from keyed
    semi join (select group_key from keyed group by group_key having count(*) > 1) as repeated using (group_key)
),

spelled as (
    select shared.group_key, samples.caption, count(*) as copies
    from shared
    join catalog.samples as samples using (sample_id)
    group by shared.group_key, samples.caption
),

spellings as (
    select
        group_key,
        arg_min(caption, row(-copies, caption)) as caption, -- the first in the alphabet among equals
        count(*) as spellings,
        max(copies) as exact_rows
    from spelled
    group by group_key
),

counted as (
    select
        shared.group_key,
        count(*) as rows,
        count(distinct shared.caption_key) as normalised,
        min(shared.similarity) as min_similarity,
        count(distinct samples.url) as distinct_urls,
        count(distinct samples.url_host) as distinct_hosts,
        count(distinct coalesce(clusters.cluster_id, images.sample_id)) as distinct_pictures,
        count(images.sample_id) as pictures_known
    from shared
    join catalog.samples as samples using (sample_id)
    left join fingerprints.images as images on images.sample_id = shared.sample_id and images.status <> 'failed'
    left join duplicates.clusters as clusters on clusters.sample_id = images.sample_id
    group by shared.group_key
)

select
    counted.group_key,
    spellings.caption,
    counted.rows,
    spellings.spellings,
    spellings.exact_rows,
    counted.normalised,
    counted.min_similarity,
    counted.distinct_urls,
    counted.distinct_hosts,
    counted.distinct_pictures,
    counted.pictures_known
from counted
join spellings using (group_key)
order by counted.rows desc, counted.group_key
