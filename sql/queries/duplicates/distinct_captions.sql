-- The different captions, the most frequent first, which then lead their groups. Reads the table `shard_captions`.
select caption_key, any_value(beginning) as beginning
from shard_captions
group by caption_key
order by sum(rows) desc, caption_key
