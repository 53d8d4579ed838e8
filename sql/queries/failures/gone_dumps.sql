-- One sentence for each dataset of which image dumps are gone since they were fingerprinted.
select format(
    '{:,} of {:,} image dump{} of {} {} gone, such as {}; their fingerprints stay in use, and what needs their pixels waits until they are back',
    count(*) filter (where images_gone),
    count(*),
    if(count(*) = 1, '', 's'),
    dataset,
    if(count(*) filter (where images_gone) = 1, 'is', 'are'),
    min(images_path) filter (where images_gone)
)
from catalog.shards
where images_path is not null
group by dataset
having bool_or(images_gone)
order by dataset
