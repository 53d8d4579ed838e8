-- One row per licence, those with the most repeated rows first, at most $most.
select license as name, rows, repeated_rows, repeated_pictures
from reports.repeated_by_license
order by repeated_rows desc, license
limit $most
