-- The first $2 training rows that show the claimed picture $1, confirmed.
select url, caption, licence, dataset, withdrawn
from claim_rows
where picture = $1 and verdict <> 'similar'
limit $2
