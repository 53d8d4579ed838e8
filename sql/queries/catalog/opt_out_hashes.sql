-- A row per training row and opt-out entry that names its picture by the SHA-256 of its bytes or by its PDQ hash.
select rows.sample_id, entries.entry
from (select sample_id, unnest(['sha256', 'pdq']) as kind, unnest([lower(hex(sha256)), lower(hex(pdq))]) as key from hashes) as rows
join entries using (kind, key)
semi join catalog.samples using (sample_id)
