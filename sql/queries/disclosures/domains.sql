-- One row per registrable domain, the most bytes first. `hosts` are the rows of disclosures/hosts, `registered` the domain
-- of each by the Public Suffix List. `required`: among the share $share of all domains, at most $most of them; NULL: any number.
with domains as (
    select
        domain,
        count(*) as hosts,
        sum(rows)::bigint as rows,
        sum(withdrawn)::bigint as withdrawn,
        sum(rows_with_bytes)::bigint as rows_with_bytes,
        sum(bytes)::bigint as bytes
    from hosts
    join registered using (host)
    group by domain
),

ranked as (
    select *, row_number() over (order by bytes desc, rows desc, domain) as rank
    from domains
)

select
    rank,
    domain,
    bytes,
    bytes / nullif(sum(bytes) over (), 0) as share_of_bytes,
    rows,
    rows_with_bytes,
    withdrawn as withdrawn_rows,
    hosts,
    rank <= least(ceil($share * count(*) over ()), $most) as required
from ranked
order by rank
