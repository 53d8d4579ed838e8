-- One row per method of finding copies: does it find all of them, and if not, what share was measured?
-- What is new is joined with everything. A method is exact only if each of its joins was; of several approximate ones
-- the lowest measured recall stands for all. An approximate join of embeddings divides all pictures there are into cells,
-- old and new ones alike, and joins the new ones with all by these cells. Recall is measured for the cells of that join
-- over all pictures: of the pairs that a sample of pictures makes with all, how many meet in a cell. It is not counted
-- from the pairs that the joins found. Captions are grouped anew as a whole: each is compared with the captions that
-- lead groups, and their recall is a share of captions.
-- unique: method
-- not_null: method, compares, computed, joins, compared, pairs, not_compared
-- assert: not computed or exact is not null
-- assert: exact is null or not exact or recall is null
-- assert: recall is null or (recall between recall_low and recall_high)
-- assert: recall is null or (recall_low >= 0 and recall_high <= 1)
-- column method: sha256 (bytes), pixels (decoded), pdq (perceptual hash), embedding (copy embedding, then aligned pixels), captions (words)
-- column compares: which values, and when two of them are a pair; of captions, when one is tied to the head of a group
-- column computed: whether it ran at all; nothing is said of a method that did not
-- column exact: every pair within the threshold is found, of captions every one that is within it of an earlier head;
--     NULL where not computed
-- column threshold: bits of 256, cosine, or Jaccard similarity, as `compares` says
-- column joins: joins that were made and still stand; sha256 and pixels need none
-- column compared: different values that are there and were compared; for sha256 and pixels rows
-- column pairs: pairs of these values found within the threshold; for sha256 and pixels pairs of rows, as in duplicates.pairs;
--     for captions no pairs, but the captions that are tied to the head of their group
-- column not_compared: of the pairs by embedding, those whose pixels could not be compared, so that they count as different pictures
-- column not_compared_because: why, of one of them
-- column recall: for embedding the share of pairs, of a sample of pictures with all, that the cells bring together; for
--     captions the share of sampled captions near an earlier head that are tied to one; NULL where exact or nothing was near
-- column recall_low: lower end of its interval of 95 %
-- column recall_high: upper end of its interval of 95 %
-- column recall_pairs: how many it was measured on: for embedding pairs, for captions sampled captions near a head

with methods (place, method, kind, compares) as (
    values
    (1, 'sha256', null, 'equal SHA-256 of the files'),
    (2, 'pixels', null, 'equal SHA-256 of the decoded pixels'),
    (3, 'pdq', 'hashes', 'PDQ hashes that differ in at most so many bits of 256'),
    (4, 'embedding', 'pictures', 'copy embeddings of at least this cosine; aligned pixels then confirm a pair or not'),
    (5, 'captions', 'captions', 'normalised captions whose words have at least this Jaccard similarity to those of the head of a group')
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
),

failed as (
    select 'embedding' as method, count(*) as pairs, min(failure) as failure
    from duplicates.pairs
    where failure is not null
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
    coalesce(failed.pairs, 0) as not_compared,
    failed.failure as not_compared_because,
    joined.recall,
    joined.recall_low,
    joined.recall_high,
    joined.recall_pairs
from methods
left join equal using (method)
left join joined using (kind)
left join failed using (method)
order by methods.place
