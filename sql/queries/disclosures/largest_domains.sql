-- The first $most domains of the list of disclosures/domains.
select rank, domain, bytes, share_of_bytes, rows, hosts
from domains
where rank <= $most
order by rank
