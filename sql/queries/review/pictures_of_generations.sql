-- For each of the generations $generations: the SHA-256 of its pixels.
select generation_id, pixel_sha256
from catalog.generations
where generation_id in (select unnest($generations::varchar[])) and pixel_sha256 is not null
