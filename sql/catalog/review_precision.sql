-- One row per kind of item, and what the warehouse said of them, of which people answered a random sample: how often is it
-- right, here?
-- Items are drawn near the thresholds and far from them with known probabilities (`raisonne review`, a random sample). The
-- interval accounts for that, see transforms/review/precision.py.
-- unique: kind, said
-- not_null: kind, said, items, answered, unsure, precision, low, high, asked_twice
-- assert: low <= precision and precision <= high
-- column kind: pair, cluster, case or guard_block
-- column said: the method of a pair, a cluster or a block, the verdict of a case, see catalog.reviewed_items
-- column items: items of the groups that were drawn from
-- column answered: drawn items with an answer
-- column unsure: drawn items that nobody could tell
-- column precision: estimated share of all items of which people say the same: of similar pairs and cases that they are no copies
-- column low: lower end of the 95% interval
-- column high: upper end of it
-- column asked_twice: items of which two people were sure
-- column agreement: share of these with the same answer
-- column kappa: Cohen's kappa of the two answers: 1 is full agreement, 0 that of chance; NULL where it is not defined

with strata as (
    select
        kind,
        said,
        stratum,
        greatest(max(stratum_size), count(*) filter (where answered)) as size,
        count(*) filter (where answered) as answered,
        count(*) filter (where answered and agrees) as agree
    from catalog.reviewed_items
    group by kind, said, stratum
),

weighed as (
    select
        *,
        size / sum(size) over (partition by kind, said) as weight,
        (agree + 1) / (answered + 2) as smooth
    from strata
    where answered > 0
),

groups as (
    select
        kind,
        said,
        sum(size)::bigint as items,
        sum(answered)::bigint as answered,
        least(1, sum(weight * agree / answered)) as share,
        sum(weight * smooth) as middle,
        sum(weight ** 2 * smooth * (1 - smooth) / answered * (1 - answered / size)) as variance
    from weighed
    group by kind, said
),

shares as (
    select kind, said, second, answer, count(*) / sum(count(*)) over (partition by kind, said, second) as share
    from (
        select kind, said, false as second, first_answer as answer
        from catalog.reviewed_items
        where second_answer is not null
        union all
        select kind, said, true, second_answer
        from catalog.reviewed_items
        where second_answer is not null
    )
    group by kind, said, second, answer
),

-- how often two people would agree by chance
chances as (
    select a.kind, a.said, sum(a.share * b.share) as chance
    from shares as a
    join shares as b on b.kind = a.kind and b.said = a.said and b.answer = a.answer and b.second and not a.second
    group by a.kind, a.said
),

twice as (
    select
        kind,
        said,
        count(*) filter (where not answered) as unsure,
        count(*) filter (where second_answer is not null) as asked_twice,
        avg((first_answer = second_answer)::int) as agreement
    from catalog.reviewed_items
    group by kind, said
)

select
    groups.kind,
    groups.said,
    groups.items,
    groups.answered,
    twice.unsure,
    groups.share as precision,
    if(groups.variance = 0, groups.share, wilson_low(groups.share, groups.middle * (1 - groups.middle) / groups.variance))
        as low,
    if(groups.variance = 0, groups.share, wilson_high(groups.share, groups.middle * (1 - groups.middle) / groups.variance))
        as high,
    twice.asked_twice,
    twice.agreement,
    (twice.agreement - coalesce(chances.chance, 0)) / nullif(1 - coalesce(chances.chance, 0), 0) as kappa
from groups
join twice using (kind, said)
left join chances using (kind, said)
order by groups.kind, groups.said
