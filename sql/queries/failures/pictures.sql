-- One sentence for each reason why training pictures could not be used, the most frequent first.
select format(
    '{:,} picture{} {}, such as {}: {}',
    rows,
    if(rows = 1, '', 's'),
    if(not_downloaded, 'not downloaded', 'failed'),
    example_member,
    regexp_replace(failure, '^not downloaded: ', '')
)
from fingerprints.failures
order by rows desc, dataset, failure
