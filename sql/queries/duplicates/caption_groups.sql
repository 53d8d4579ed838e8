-- The captions of every group with their similarity to the caption that the group is named after, itself included.
-- Reads `grouped`, which names captions by their rows in `distinct_captions`.
select member.caption_key, leader.caption_key as group_key, grouped.similarity
from grouped
join distinct_captions as member on member.rowid = grouped.member
join distinct_captions as leader on leader.rowid = grouped.head
order by member.caption_key
