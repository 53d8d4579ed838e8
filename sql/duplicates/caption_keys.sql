-- One row per training row with a caption: the caption as it is compared with others. Recalled rows are left out.
-- Normalised is: Unicode NFC, lower case, format characters (joiners, soft hyphens, marks of direction) removed, whatever
-- is no letter, mark or number collapsed to one space, trimmed. Accents stay; full-width and ligature letters are not
-- folded, as DuckDB has no NFKC. A caption of punctuation or emoji alone keeps them, with its white space collapsed; one
-- of white space alone is no caption.
-- as: view
-- grain: shard
-- unique: sample_id
-- not_null: sample_id
-- column sample_id: the training row
-- column normalised: the normalised caption; rows without one are left out
-- column caption_key: its MD5

select sample_id, normalised_caption(caption) as normalised, md5(normalised_caption(caption)) as caption_key
from catalog.samples
where caption is not null and not recalled and regexp_matches(caption, '[^\s\p{Z}\p{Cc}\p{Cf}]')
