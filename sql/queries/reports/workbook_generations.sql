-- One row: how many generations there are, with the least number of rows that one was compared with.
select count(*) as generations, min(searched) as searched, max(searchable) as searchable
from provenance.generations
