-- The entries of all opt-out lists, numbered in their order, each with the key that its kind is compared by.
select
    row_number() over () as entry,
    list,
    kind,
    value,
    within,
    case kind
        when 'url' then url_key(value)
        when 'host' then host_key(value)
        else lower(url_trimmed(value))
    end as key
from listed
