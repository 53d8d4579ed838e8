-- One row per training row, whatever dialect its metadata came in.
-- Column names are taken in any case; where a dialect has a name of its own, the first that is present counts.
-- grain: shard
-- unique: sample_id
-- not_null: sample_id, dataset, shard, row_number, unsafe, recalled
-- column dataset: name of the dataset in the settings
-- column shard: name of the metadata file without its ending
-- column height: pixels as the metadata states them; the original's where it was resized
-- column language: language of the caption, as the metadata states it
-- column nsfw: the dataset's own label, as written
-- column similarity: similarity of caption and picture, as the metadata states it
-- column key: name of the picture in the image dump, as the metadata states it
-- column sample_id: shard id and row number in one; the same wherever the same file is loaded
-- column row_number: position in the metadata file, from 0
-- column url_host: lower case, without user, port and path
-- column width: pixels as the metadata states them; the original's where it was resized
-- column uid: the dataset's own name of the row: uid, else sample_id, else id; whole numbers without a fraction
-- column url: without white space at both ends
-- column caption: as written; NULL where it is blank, or `nan`, `None`, `<NA>` or `null` in exactly this spelling
-- column license: as stated, an address of Creative Commons by its short name, such as `cc-by-nc-2.0` (see `license_name`);
--     NULL where it only says that it is missing, as `nan`, `None`, `N/A` or "?" do (see `stated`)
-- column license_stated: as stated; NULL where it only says that it is missing
-- column punsafe: probability that the picture is unsafe, by the dataset's own classifier
-- column pwatermark: probability of a watermark, by the dataset's own classifier
-- column unsafe: flagged by the dataset's own classifier: nsfw LIKELY, UNSURE or NSFW, or punsafe ≥ 0.5
-- column recalled: withdrawn by an opt-out list; the row stays here and leaves the counts, see provenance.recalled

with said as (
    select
        rows.landing_path,
        rows.file_row_number,
        coalesce(stated(rows.url), stated(rows.image_url), stated(rows.img_url)) as url,
        coalesce(
            stated_caption(rows.caption),
            stated_caption(rows.text),
            stated_caption(rows.alt_text),
            stated_caption(rows.top_caption),
            stated_caption(rows.org_caption),
            stated_caption(rows.re_caption),
            stated_caption(rows.captions)
        ) as caption,
        coalesce(try_cast(rows.original_width as integer), try_cast(rows.width as integer)) as width,
        coalesce(try_cast(rows.original_height as integer), try_cast(rows.height as integer)) as height,
        stated(rows.license) as license,
        stated(rows.language) as language,
        stated(rows.nsfw) as nsfw,
        coalesce(rows.punsafe, rows.nsfw_score_gantman) as punsafe,
        coalesce(rows.pwatermark, rows.watermark_score) as pwatermark,
        coalesce(rows.similarity, rows.clip_l14_similarity_score, rows.clip_similarity_vitl14) as similarity,
        stated(rows.key) as key,
        coalesce(stated(rows.uid), stated(rows.sample_id), stated(rows.id)) as uid
    from landing_metadata as rows
)

select
    (shards.shard_id * 67108864 + said.file_row_number)::ubigint as sample_id,
    shards.dataset,
    shards.shard,
    said.file_row_number as row_number,
    said.url,
    nullif(lower(regexp_extract(said.url, '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/:?#]+)', 1)), '') as url_host,
    said.caption,
    said.width,
    said.height,
    license_name(said.license) as license,
    said.license as license_stated,
    said.language,
    said.nsfw,
    said.punsafe,
    coalesce(said.punsafe >= 0.5 or upper(said.nsfw) in ('NSFW', 'LIKELY', 'UNSURE'), false) as unsafe,
    said.pwatermark,
    said.similarity,
    said.key,
    -- whole numbers may have been delivered as text of doubles
    regexp_replace(said.uid, '^([+-]?\d+)\.0+$', '\1') as uid,
    recalled.sample_id is not null as recalled
from said
join lance_landing_shards as shards on shards.readable_path = said.landing_path
left join lance_recalled_rows as recalled
    on recalled.sample_id = (shards.shard_id * 67108864 + said.file_row_number)::ubigint
