-- One row per training row with a caption: the caption as it is compared with others. Recalled rows are left out.
-- Normalised is: Unicode NFC, lower case, format characters (joiners, soft hyphens, marks of direction) removed, whatever
-- is no letter, mark or number collapsed to one space, trimmed. Accents stay; full-width and ligature letters are not
-- folded, as DuckDB has no NFKC. A caption of punctuation or emoji alone keeps them, with its white space collapsed; one
-- of white space alone is no caption.
-- as: view
-- unique: sample_id
-- not_null: sample_id, normalised, caption_key
-- column sample_id: the training row
-- column normalised: the normalised caption
-- column caption_key: its MD5

with written as (
    select sample_id, regexp_replace(lower(nfc_normalize(caption)), '\p{Cf}+', '', 'g') as text
    from catalog.samples
    where caption is not null and not recalled
),

worded as (
    select
        sample_id,
        coalesce(
            nullif(trim(regexp_replace(text, '[^\p{L}\p{M}\p{N}]+', ' ', 'g')), ''),
            nullif(trim(regexp_replace(text, '[\s\p{Z}\p{Cc}]+', ' ', 'g')), '')
        ) as normalised
    from written
)

select sample_id, normalised, md5(normalised) as caption_key
from worded
where normalised is not null
