-- One row per training row that is not recalled: two numbers by which rows of one URL or one caption find each other.
-- Different texts share a number once in many million rows, so the tables that read it compare the texts of what it finds.
-- grain: shard
-- unique: sample_id
-- not_null: sample_id
-- column sample_id: the training row
-- column url_number: 64 bits of the MD5 of `normalised_url`, see duplicates.url_keys; NULL for rows without a URL
-- column caption_number: 64 bits of the MD5 of `caption_key`, see duplicates.caption_keys; NULL for rows without a caption

select
    sample_id,
    if(url is not null and url_trimmed(url) <> '', md5_number_lower(normalised_url(url)), null) as url_number,
    if(
        caption is not null and regexp_matches(caption, '[^\s\p{Z}\p{Cc}\p{Cf}]'),
        md5_number_lower(md5(normalised_caption(caption))),
        null
    ) as caption_number
from catalog.samples
where not recalled
