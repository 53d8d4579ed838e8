-- One sentence for each reason why generations could not be read, the most frequent first.
select format(
    '{:,} generation{} failed, such as {}: {}', count(*), if(count(*) = 1, '', 's'), min(generation_id), failure
)
from catalog.generations
where failure is not null
group by failure
order by count(*) desc, failure
