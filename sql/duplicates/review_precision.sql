-- One row per method of which people answered a random sample: how often is it right, here?
-- Items are drawn near the thresholds and far from them with known probabilities (`raisonne review`, a random sample). The
-- interval accounts for that, see transforms/review/precision.py.
-- unique: method
-- not_null: method, items, answered, unsure, precision, low, high, asked_twice
-- assert: low <= precision and precision <= high
-- column method: pdq or aligned, which make copies; similar, which does not
-- column items: items of the groups that were drawn from
-- column answered: drawn items with an answer
-- column unsure: drawn items that nobody could tell
-- column precision: estimated share of all items of which people say the same: of similar pairs that they are different
-- column low: lower end of the 95% interval
-- column high: upper end of it
-- column asked_twice: items of which two people were sure
-- column agreement: share of these with the same answer
-- column kappa: Cohen's kappa of the two answers: 1 is full agreement, 0 that of chance; NULL where it is not defined

with strata as (
    select
        said as method,
        stratum,
        greatest(max(stratum_size), count(*) filter (where answered)) as size,
        count(*) filter (where answered) as answered,
        count(*) filter (where answered and agrees) as agree,
        count(*) filter (where not answered) as unsure
    from catalog.reviewed_items
    where kind = 'pair'
    group by said, stratum
),

weighed as (
    select
        *,
        size / sum(size) over (partition by method) as weight,
        (agree + 1) / (answered + 2) as smooth
    from strata
    where answered > 0
),

groups as (
    select
        method,
        sum(size)::bigint as items,
        sum(answered)::bigint as answered,
        least(1, sum(weight * agree / answered)) as share,
        sum(weight * smooth) as middle,
        sum(weight ** 2 * smooth * (1 - smooth) / answered * (1 - answered / size)) as variance
    from weighed
    group by method
),

shares as (
    select said, second, answer, count(*) / sum(count(*)) over (partition by said, second) as share
    from (
        select said, false as second, first_answer as answer
        from catalog.reviewed_items
        where kind = 'pair' and second_answer is not null
        union all
        select said, true, second_answer
        from catalog.reviewed_items
        where kind = 'pair' and second_answer is not null
    )
    group by said, second, answer
),

-- how often two people would agree by chance
chances as (
    select a.said, sum(a.share * b.share) as chance
    from shares as a
    join shares as b on b.said = a.said and b.answer = a.answer and b.second and not a.second
    group by a.said
),

twice as (
    select
        said,
        count(*) filter (where second_answer is not null) as asked_twice,
        avg((first_answer = second_answer)::int) as agreement
    from catalog.reviewed_items
    where kind = 'pair'
    group by said
)

select
    groups.method,
    groups.items,
    groups.answered,
    (select sum(strata.unsure)::bigint from strata where strata.method = groups.method) as unsure,
    groups.share as precision,
    if(groups.variance = 0, groups.share, wilson_low(groups.share, groups.middle * (1 - groups.middle) / groups.variance))
        as low,
    if(groups.variance = 0, groups.share, wilson_high(groups.share, groups.middle * (1 - groups.middle) / groups.variance))
        as high,
    twice.asked_twice,
    twice.agreement,
    (twice.agreement - coalesce(chances.chance, 0)) / nullif(1 - coalesce(chances.chance, 0), 0) as kappa
from groups
join twice on twice.said = groups.method
left join chances on chances.said = groups.method
order by groups.method
