-- One sentence for each of the 20 most frequent reasons why a generation failed.
select format('{} generations failed: {}', count(*), failure)
from catalog.generations where failure is not null group by failure order by count(*) desc limit 20
