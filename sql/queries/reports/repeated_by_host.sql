-- One row per host, those with the most repeated rows first, at most $most.
select host as name, rows, repeated_rows, repeated_pictures
from reports.repeated_by_host
order by repeated_rows desc, host
limit $most
