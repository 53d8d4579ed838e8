-- One row per method of finding copies: does it find all of them, and if not, what share was measured?
-- Joins are incremental, what is new with everything. A method is exact only if each of its joins was; of several
-- approximate ones the lowest measured recall stands for all.
-- unique: method
-- not_null: method, compares, computed, joins, compared, pairs
-- assert: not computed or exact is not null
-- assert: exact is null or not exact or recall is null
-- assert: recall is null or (recall between recall_low and recall_high)
-- assert: recall is null or (recall_low >= 0 and recall_high <= 1)
-- column method: sha256 (bytes), pixels (decoded), pdq (perceptual hash), embedding (copy embedding, then aligned pixels), captions (words)
-- column compares: which values, and when two of them are a pair
-- column computed: whether it ran at all; nothing is said of a method that did not
-- column exact: every pair within the threshold is found; NULL where not computed
-- column threshold: bits of 256, cosine, or Jaccard similarity, as `compares` says
-- column compared: different values that were compared with all others; for sha256 and pixels rows
-- column pairs: pairs of values within the threshold; for sha256 and pixels pairs of rows, as in duplicates.pairs
-- column recall: share of the pairs that the join found among those of a sample compared with everything
-- column recall_low: lower end of its interval of 95 %
-- column recall_pairs: pairs of the sample that it was measured on

with methods (place, method, kind, compares) as (
    values
    (1, 'sha256', null, 'equal SHA-256 of the files'),
    (2, 'pixels', null, 'equal SHA-256 of the decoded pixels'),
    (3, 'pdq', 'hashes', 'PDQ hashes that differ in at most so many bits of 256'),
    (4, 'embedding', 'pictures', 'copy embeddings of at least this cosine; a pair counts once aligned pixels confirm it'),
    (5, 'captions', 'captions', 'normalised captions of at least this Jaccard similarity of their words')
),

joined as (
    select
        kind,
        count(*) as joins,
        bool_and(exact) as exact,
        max(threshold) as threshold,
        sum(new)::bigint as compared,
        sum(pairs)::bigint as pairs,
        min(recall) filter (where not exact) as recall,
        min_by(recall_low, recall) filter (where not exact) as recall_low,
        min_by(recall_high, recall) filter (where not exact) as recall_high,
        min_by(recall_pairs, recall) filter (where not exact) as recall_pairs
    from lance_joins
    group by kind
),

-- equal values need no join that could miss one: they are grouped
equal as (
    select methods.method, usable.compared, count(pairs.method) as pairs
    from methods
    cross join (select count(*) as compared from fingerprints.images where status <> 'failed') as usable
    left join duplicates.pairs using (method)
    where methods.kind is null
    group by all
)

select
    methods.method,
    methods.compares,
    methods.kind is null or joined.kind is not null as computed,
    if(methods.kind is null, true, joined.exact) as exact,
    if(methods.kind is null, 0, joined.threshold) as threshold,
    coalesce(joined.joins, 0) as joins,
    coalesce(equal.compared, joined.compared, 0) as compared,
    coalesce(equal.pairs, joined.pairs, 0) as pairs,
    joined.recall,
    joined.recall_low,
    joined.recall_high,
    joined.recall_pairs
from methods
left join equal using (method)
left join joined using (kind)
order by methods.place
