-- The normalised captions of rows in `usable`: sample_id, caption_key, normalised.
select keys.sample_id, keys.caption_key, keys.normalised
from duplicates.caption_keys as keys
semi join usable using (sample_id)
