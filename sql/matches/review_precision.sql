-- One row per verdict of which people answered a random sample: how often is it right, here?
-- Items are drawn near the thresholds and far from them with known probabilities (`raisonne review`, a random sample). The
-- interval accounts for that, see transforms/review/precision.py.
-- as: view
-- unique: verdict
-- not_null: verdict, items, answered, unsure, precision, low, high, asked_twice
-- assert: low <= precision and precision <= high
-- column verdict: exact, copy, partial_copy, altered_copy or similar
-- column items: items of the groups that were drawn from
-- column answered: drawn items with an answer
-- column unsure: drawn items that nobody could tell
-- column precision: estimated share of all items of which people say the same: of similar cases that they are no copies
-- column low: lower end of the 95% interval
-- column high: upper end of it
-- column asked_twice: items of which two people were sure
-- column agreement: share of these with the same answer
-- column kappa: Cohen's kappa of the two answers: 1 is full agreement, 0 that of chance; NULL where it is not defined

select said as verdict, items, answered, unsure, precision, low, high, asked_twice, agreement, kappa
from catalog.review_precision
where kind = 'case'
order by said
