-- One row per method of which people answered a random sample: how often they say the same.
select method as said, items, answered, precision, low, high, asked_twice, kappa
from duplicates.review_precision
