-- One row per training row, whatever dialect its metadata came in.
-- Column names are taken in any case; where a dialect has a name of its own, the first that is present counts.
-- unique: sample_id
-- not_null: sample_id, dataset, shard, row_number, unsafe, recalled
-- column sample_id: shard id and row number in one; the same wherever the same file is loaded
-- column row_number: position in the metadata file, from 0
-- column url_host: lower case, without user, port and path
-- column width: pixels as the metadata states them; the original's where it was resized
-- column uid: the dataset's own name of the row: uid, else sample_id, else id; whole numbers without a fraction
-- column license: as stated; NULL where the metadata says nothing or "?"
-- column punsafe: probability that the picture is unsafe, by the dataset's own classifier
-- column pwatermark: probability of a watermark, by the dataset's own classifier
-- column unsafe: flagged by the dataset's own classifier: nsfw LIKELY, UNSURE or NSFW, or punsafe ≥ 0.5
-- column recalled: withdrawn by an opt-out list; the row stays here and leaves the counts, see provenance.recalled

select
    (shards.shard_id * 67108864 + rows.file_row_number)::ubigint as sample_id,
    shards.dataset,
    shards.shard,
    rows.file_row_number as row_number,
    rows.url,
    nullif(lower(regexp_extract(rows.url, '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/:?#]+)', 1)), '') as url_host,
    coalesce(rows.caption, rows.text, rows.alt_text) as caption,
    -- cast one by one: where one file states a width as text, that column is text in all of them
    coalesce(try_cast(rows.original_width as integer), try_cast(rows.width as integer)) as width,
    coalesce(try_cast(rows.original_height as integer), try_cast(rows.height as integer)) as height,
    nullif(trim(rows.license::varchar), '?') as license,
    rows.language::varchar as language,
    rows.nsfw::varchar as nsfw,
    coalesce(try_cast(rows.punsafe as double), try_cast(rows.nsfw_score_gantman as double)) as punsafe,
    coalesce(
        coalesce(try_cast(rows.punsafe as double), try_cast(rows.nsfw_score_gantman as double)) >= 0.5
        or upper(rows.nsfw::varchar) in ('NSFW', 'LIKELY', 'UNSURE'),
        false
    ) as unsafe,
    coalesce(try_cast(rows.pwatermark as double), try_cast(rows.watermark_score as double)) as pwatermark,
    coalesce(
        try_cast(rows.similarity as double),
        try_cast(rows.clip_l14_similarity_score as double),
        try_cast(rows.clip_similarity_vitl14 as double)
    ) as similarity,
    rows.key::varchar as key,
    -- numbers may have been delivered as doubles
    coalesce(
        rows.uid::varchar,
        regexp_replace(rows.sample_id::varchar, '\.0$', ''),
        regexp_replace(rows.id::varchar, '\.0$', '')
    ) as uid,
    recalled.sample_id is not null as recalled
from landing_metadata as rows
join lance_landing_shards as shards on shards.readable_path = rows.landing_path
left join lance_recalled_rows as recalled
    on recalled.sample_id = (shards.shard_id * 67108864 + rows.file_row_number)::ubigint
