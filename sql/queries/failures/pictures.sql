-- One sentence for each reason why training pictures could not be used, the most frequent first.
select format(
    '{:,} picture{} {}, such as {}: {}',
    rows,
    if(rows = 1, '', 's'),
    case when not_downloaded then 'not downloaded' when missing then 'missing' else 'failed' end,
    example_member,
    regexp_replace(failure, '^(not downloaded|missing): ', '')
)
from fingerprints.failures
order by rows desc, dataset, failure
