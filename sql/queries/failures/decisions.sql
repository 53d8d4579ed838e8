-- One sentence per reason why the warehouse cannot follow decisions that people gave, the most frequent first.
select format(
    '{:,} decision{} {}: {}, such as {} of {}',
    count(*),
    if(count(*) = 1, '', 's'),
    if(count(*) = 1, 'waits', 'wait'),
    waits_for,
    min_by(answer, decision_id),
    min_by(kind, decision_id)
)
from reports.decisions
where state = 'waiting'
group by waits_for
order by count(*) desc, waits_for
