-- A row per training row and opt-out entry that names its picture by likeness.
select distinct near.sample_id, near.entry
from near
semi join catalog.samples using (sample_id)
