-- One row per signal by which files reserve their use to train: plus, c2pa or headers; the rows of these files, and how
-- many of these no opt-out list withdraws.
select
    signals.signal,
    count(*) as rows,
    count(*) filter (where not samples.recalled) as not_withdrawn
from (select sample_id, unnest(reserved_by) as signal from catalog.rights where reserved) as signals
join catalog.samples as samples using (sample_id)
group by signals.signal
order by signals.signal
