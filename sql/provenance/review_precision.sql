-- One row per method by which the guard blocked images of which people answered a random sample: how often was that right,
-- here? They are those blocked images that are among the generations: of others there is no picture to look at.
-- Items are drawn near the thresholds and far from them with known probabilities (`raisonne review`, a random sample). The
-- interval accounts for that, see transforms/review/precision.py.
-- as: view
-- unique: method
-- not_null: method, items, answered, unsure, precision, low, high, asked_twice
-- assert: low <= precision and precision <= high
-- column method: what decided: sha256, pixels, pdq, embedding or p_value, see provenance.guard_log
-- column items: items of the groups that were drawn from
-- column answered: drawn items with an answer
-- column unsure: drawn items that nobody could tell
-- column precision: estimated share of all items of which people say the same: that the image is rightly blocked
-- column low: lower end of the 95% interval
-- column high: upper end of it
-- column asked_twice: items of which two people were sure
-- column agreement: share of these with the same answer
-- column kappa: Cohen's kappa of the two answers: 1 is full agreement, 0 that of chance; NULL where it is not defined

select said as method, items, answered, unsure, precision, low, high, asked_twice, agreement, kappa
from catalog.review_precision
where kind = 'guard_block'
order by said
