-- One sentence for each reason why files of a dataset or a source of generations were not taken, the most frequent first.
-- A picture that no row of a table names is a generation all the same.
select format(
    '{:,} of {}{}, such as {} in {}{}: {}',
    sum(files)::bigint,
    coalesce(dataset, source),
    if(starts_with(reason, 'a picture that no row of a table names'), '', ' not taken'),
    min_by(examples[1], place),
    min(place),
    if(count(distinct place) > 1, format(' and {:,} other place{}', count(distinct place) - 1, if(count(distinct place) = 2, '', 's')), ''),
    reason
)
from catalog.not_taken
group by dataset, source, reason
order by sum(files) desc, 1
