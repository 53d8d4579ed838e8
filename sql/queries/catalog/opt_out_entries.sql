-- The entries of all opt-out lists, numbered in their order, each with the key that its kind is compared by: ids and
-- hashes in lower case; the host alone, in lower case, of whatever is written around it (scheme, user, `*.`, port, path).
-- URLs are compared as duplicates.url_keys normalises them.
select
    row_number() over () as entry,
    list,
    kind,
    value,
    case kind
        when 'host' then lower(
            regexp_extract(
                regexp_replace(trimmed, '^https?://', '', 'i'),
                '^(?:[^/?#@]*@)?(?:\*?\.)?([^/:?#]*?)\.?(?:[/:?#].*)?$',
                1,
                's'
            )
        )
        else lower(trimmed)
    end as key
from (select list, kind, value, regexp_replace(value, '^\s+|\s+$', '', 'g') as trimmed from listed)
