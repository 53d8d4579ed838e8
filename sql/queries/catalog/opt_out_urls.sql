-- A row per training row and opt-out entry whose URL is the same once both are written alike or normalised.
select samples.sample_id, entries.entry
from catalog.samples
join entries on entries.key = url_key(samples.url)
where entries.kind = 'url' and entries.key <> ''
union all
select rows.sample_id, entries.entry
from duplicates.url_keys as rows
join entries on normalised_url(entries.value) = rows.normalised_url
where entries.kind = 'url'
