-- A row per training row and opt-out entry that names its host or a host above it.
with hosts as (
    select distinct url_host, rtrim(url_host, '.') as host from catalog.samples where url_host is not null
),

-- the host itself and every host above it, cut where a label ends
above as (
    select
        url_host,
        unnest([
            array_to_string(string_split(host, '.')[label:], '.')
            for label in range(1, len(string_split(host, '.')) + 1)
        ]) as key
    from hosts
),

listed_hosts as (
    select above.url_host, entries.entry
    from above
    join entries using (key)
    where entries.kind = 'host' and entries.key <> ''
)

select samples.sample_id, listed_hosts.entry
from catalog.samples
join listed_hosts using (url_host)
