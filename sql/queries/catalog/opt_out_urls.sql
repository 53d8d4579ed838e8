-- A row per training row and opt-out entry whose URL is the same once both are normalised.
select rows.sample_id, entry_urls.sample_id as entry
from duplicates.url_keys as rows
join entry_urls using (normalised_url)
