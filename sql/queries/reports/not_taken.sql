-- One row per reason for which files became no row or no generation, the most frequent first, at most $most.
select coalesce(dataset, source) as name, reason, sum(files)::bigint as files, count(distinct place) as places,
    min_by(examples[1], place) as example, min(place) as place
from catalog.not_taken
group by name, reason
order by files desc, name, reason
limit $most
