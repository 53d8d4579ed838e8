-- A row per withdrawn training row: the first entry that names it; what its file says counts where no list does.
with named as (
    select sample_id, list, kind, value
    from matches
    join entries using (entry)
    qualify row_number() over (partition by sample_id order by entry) = 1
)

select sample_id, list, kind, value
from named
union all
select sample_id, 'policies.honour', kind, value
from honoured
anti join named using (sample_id)
