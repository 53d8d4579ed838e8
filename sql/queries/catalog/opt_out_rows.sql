-- A row per withdrawn training row: the first entry that names it.
select sample_id, list, kind, value
from matches
join entries using (entry)
qualify row_number() over (partition by sample_id order by entry) = 1
