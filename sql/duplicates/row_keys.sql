-- One row per training row that is not recalled: two numbers by which rows of one URL or one caption find each other.
-- Different texts share a number once in many million rows, so the tables that read it compare the texts of what it finds.
-- grain: shard
-- unique: sample_id
-- not_null: sample_id
-- column sample_id: the training row
-- column url_number: 64 bits of the MD5 of `normalised_url`, see duplicates.url_keys; NULL for rows without a URL
-- column caption_number: 64 bits of the MD5 of `caption_key`, see duplicates.caption_keys; NULL for rows without a caption

-- apart from the condition, or each of its parts is computed again for each time that it is named
with texts as (
    select
        sample_id,
        regexp_matches(url, '[^\s\p{Z}\p{Cc}]') as has_url,
        normalised_url(url) as normalised_url,
        normalised_caption(caption) as normalised
    from catalog.samples
    where not recalled
)

select
    sample_id,
    if(has_url, md5_number_lower(normalised_url), null) as url_number,
    md5_number_lower(md5(normalised)) as caption_number
from texts
