-- One row per verdict of which people answered a random sample: how often they say the same.
select verdict as said, items, answered, precision, low, high, asked_twice, kappa
from matches.review_precision
order by verdict_rank(verdict)
