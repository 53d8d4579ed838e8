-- One row per generation that was searched by embedding: its strongest match, and the false discovery rate it would be reported at.
-- unique: generation_id
-- not_null: generation_id, p_value, q_value
-- assert: q_value >= p_value and q_value <= 1
-- column generation_id: the generation
-- column p_value: of the strongest match; 1 where nothing came near
-- column q_value: Benjamini-Hochberg over all searched generations

with best as (
    select generations.generation_id, coalesce(min(evidence.p_value), 1) as p_value
    from catalog.generations
    left join matches.evidence using (generation_id)
    cross join settings
    where generations.status <> 'failed' and settings.copy_encoder is not null
    group by generations.generation_id
),

ranked as (
    -- the ratio first: it is at least 1, so that rounding never takes q below p
    select *, p_value * (count(*) over () / count(*) over (order by p_value range unbounded preceding)) as stepped
    from best
)

select
    generation_id,
    p_value,
    least(1, min(stepped) over (order by p_value desc range unbounded preceding)) as q_value
from ranked
