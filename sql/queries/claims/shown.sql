-- The first $1 claimed pictures: those that were trained on first, by the strength of the match and the rows.
select *
from claims
limit $1
