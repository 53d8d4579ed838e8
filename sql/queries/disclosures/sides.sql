-- One row: how large the pictures are, by their longer side in pixels; half of them are at most as large as `half`.
with sides as (
    select greatest(width, height) as side, count(*) as pictures
    from fingerprints.images
    where status <> 'failed'
    group by side
),

counted as (
    select side, sum(pictures) over (order by side) as up_to, sum(pictures) over () as pictures from sides
)

select min(side) as least, min(side) filter (where 2 * up_to >= pictures) as half, max(side) as most
from counted
