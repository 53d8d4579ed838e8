-- A row per training row and opt-out entry that names it by its id.
select samples.sample_id, entries.entry
from entries
join catalog.samples on samples.sample_id = try_cast(entries.key as ubigint)
where entries.kind = 'sample_id'
