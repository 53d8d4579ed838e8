-- One row per verdict, or per method, of the kinds $kinds of which people answered a random sample: how often they say the
-- same. Pairs, clusters and blocks of the guard are named by what tied them or decided, in words.
select
    case
        when kind = 'case' then said
        else case kind when 'pair' then 'pairs by ' when 'cluster' then 'clusters by ' else 'blocks of the guard by ' end
            || case said
                when 'pdq' then 'nearly the same hash'
                when 'aligned' then 'aligned pixels'
                when 'similar' then 'embedding, not confirmed'
                when 'sha256' then 'equal files'
                when 'pixels' then 'equal pixels'
                when 'p_value' then 'p-value'
                else said
            end
    end as said,
    items, answered, precision, low, high, asked_twice, kappa
from catalog.review_precision
where list_contains($kinds, kind)
order by kind <> 'case', kind = 'guard_block', kind desc, if(kind = 'case', verdict_rank(review_precision.said), null), said
