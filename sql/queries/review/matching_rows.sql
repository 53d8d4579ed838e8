-- The training rows whose caption, URL or licence holds $text, in any case, at most $most.
select sample_id
from catalog.samples
where contains(lower(caption), lower($text)) or contains(lower(url), lower($text)) or contains(lower(license), lower($text))
limit $most
