-- One row per kind of change of the required domains since an earlier list, the file $file: how many, and the first five.
with earlier as (
    select regexp_replace(domain, '^''', '') as domain -- one that a spreadsheet would run has an apostrophe before it
    from read_csv($file, header = true, all_varchar = true)
    where required = 'true'
),

changed as (
    select 'new' as change, domain from domains where required and domain not in (from earlier)
    union all
    select 'gone' as change, domain from earlier where domain not in (select domain from domains where required)
)

select change, count(*) as domains, list(domain order by domain)[:5] as first
from changed
group by change
order by change desc
