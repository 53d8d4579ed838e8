-- Captions that are in `captioned` and not in `embedded`: caption_key, normalised.
select caption_key, any_value(normalised) as normalised
from captioned
anti join embedded using (caption_key)
group by caption_key
