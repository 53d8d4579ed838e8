-- A row per training row and opt-out entry whose URL is the same once both are normalised.
select rows.sample_id, entries.entry
from duplicates.url_keys as rows
join entries on entries.key = rows.normalised_url
where entries.kind = 'url'
