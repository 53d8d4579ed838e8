-- The captions of every group with their similarity to the caption that the group is named after, itself included.
-- Reads `ties`: the captions that are tied to another one.
select caption_key, group_key, similarity from ties
union all
select distinct group_key, group_key, 1.0 from ties
order by caption_key
