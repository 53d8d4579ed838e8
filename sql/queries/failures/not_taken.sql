-- One sentence for each place and reason for which files were found and not taken, the most frequent first.
select format(
    '{:,} not taken in {}: {}, such as {}', files, place, reason, examples[1]
)
from catalog.not_taken
order by files desc, place, reason
