-- A row per training row and entry of an opt-out list that names its picture by likeness, with the closest evidence.
select
    near.sample_id,
    entries.list,
    entries.kind,
    entries.value,
    min_by(near.method, near.distance + if(near.method = 'sha256', -2, if(near.method = 'pixels', -1, 0))) as method,
    min(near.distance) as distance
from near
join entries using (entry)
semi join catalog.samples using (sample_id)
group by all
