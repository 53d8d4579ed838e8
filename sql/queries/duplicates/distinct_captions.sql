-- The different captions as they are compared, the most frequent first, which then lead their groups. Captions that say
-- much are compared by their beginning.
select caption_key, any_value(left(normalised, 2000)) as beginning
from duplicates.caption_keys
group by caption_key
order by count(*) desc, caption_key
