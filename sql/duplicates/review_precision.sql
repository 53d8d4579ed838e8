-- One row per method, of pairs and of clusters apart, of which people answered a random sample: how often is it right, here?
-- A cluster is right when all its pictures are one: when nobody who was asked cut one out. Clusters of equal files or pixels
-- need no answer and are not among them.
-- Items are drawn near the thresholds and far from them with known probabilities (`raisonne review`, a random sample). The
-- interval accounts for that, see transforms/review/precision.py.
-- as: view
-- unique: kind, method
-- not_null: kind, method, items, answered, unsure, precision, low, high, asked_twice
-- assert: low <= precision and precision <= high
-- column kind: pair or cluster
-- column method: of pairs pdq or aligned, which make copies, or similar, which does not; of clusters the weakest method that ties a member to them
-- column items: items of the groups that were drawn from
-- column answered: drawn items with an answer
-- column unsure: drawn items that nobody could tell
-- column precision: estimated share of all items of which people say the same: of similar pairs that they are different, of clusters that they show one picture
-- column low: lower end of the 95% interval
-- column high: upper end of it
-- column asked_twice: items of which two people were sure
-- column agreement: share of these with the same answer
-- column kappa: Cohen's kappa of the two answers: 1 is full agreement, 0 that of chance; NULL where it is not defined

select kind, said as method, items, answered, unsure, precision, low, high, asked_twice, agreement, kappa
from catalog.review_precision
where kind in ('pair', 'cluster')
order by kind desc, said
