-- One row: files that were found in the datasets and are no training row.
select coalesce(sum(files), 0)::bigint as files
from catalog.not_taken
where dataset is not null
