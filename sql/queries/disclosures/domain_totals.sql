-- One row: how many domains the list of disclosures/domains has, how many are required, and what all and these hold.
select
    count(*) as domains,
    count(*) filter (where required) as required,
    coalesce(sum(bytes), 0)::bigint as bytes,
    coalesce(sum(bytes) filter (where required), 0)::bigint as required_bytes,
    coalesce(sum(rows), 0)::bigint as rows,
    coalesce(sum(rows) filter (where required), 0)::bigint as required_rows,
    coalesce(sum(rows - rows_with_bytes), 0)::bigint as rows_without_bytes
from domains
