-- A row per training row and opt-out entry that names its picture by likeness.
select found.sample_id, found.entry
from (
    select sample_id, entry from near
    union
    select sample_id, entry from copies
) as found
semi join catalog.samples using (sample_id)
