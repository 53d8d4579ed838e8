-- One row per what-if: if copies were removed by this policy, how many rows would go, and what would be left?
-- Of the training rows with a usable picture that are not recalled. `raisonne export removal-list --policy` writes the
-- rows of one of them. What was decided of a picture (duplicates.removals) counts before what a policy says.
-- unique: policy
-- not_null: policy, description, rule, level, rows, removed_rows, kept_rows, removed_share, pictures_removed
-- not_null: largest_count_after, frequency
-- assert: rows = removed_rows + kept_rows
-- assert: kept_rows = coalesce(list_sum([each.rows for each in frequency]), 0)
-- assert: removed_share between 0 and 1
-- assert: rule in ('keep', 'drop_from', 'distance', 'semdedup')
-- column policy: its name, the rule and the level
-- column rule: keep (so many rows of every picture stay), drop_from (pictures with so many rows go altogether), distance (rows up to so many PDQ bits from their representative go), semdedup (rows go to which a picture of the same concept, nearer its edge, comes within so many thousandths of cosine distance by meaning)
-- column level: rows, bits, or thousandths of a cosine distance
-- column rows: training rows before
-- column pictures_removed: different pictures of which no row is left
-- column largest_count_after: rows that show the most repeated picture that is left
-- column frequency: what reports.duplicate_frequency would say: band of counts, pictures in it, and their rows
-- column description: the rule in words
-- column removed_rows: training rows that go
-- column kept_rows: training rows that stay
-- column removed_share: removed_rows over rows, between 0 and 1

with policies as (
    select 'keep' as rule, unnest(policy_keep) as level from settings
    union all
    select 'drop_from', unnest(policy_drop_from) from settings
    union all
    select 'distance', unnest(policy_distance) from settings
    union all
    select 'semdedup', unnest(policy_semdedup) from settings
),

sizes as (
    select copies, decision, count(*) as pictures
    from duplicates.pictures
    group by copies, decision
),

near as (
    select
        policies.level,
        clusters.cluster_id,
        removals.answer as decision,
        count(*) as copies,
        count(*) filter (where clusters.kept_rank > 1 and clusters.distance_to_representative <= policies.level) as removed
    from duplicates.clusters
    cross join policies
    left join duplicates.removals using (cluster_id)
    where policies.rule = 'distance'
    group by all
),

redundant as (
    select
        policies.level,
        pictures.cluster_id,
        pictures.copies,
        pictures.decision,
        count(*) filter (where members.redundancy > 1 - policies.level / 1000) as removed
    from duplicates.pictures
    left join (
        select coalesce(clusters.cluster_id, found.sample_id) as cluster_id, found.redundancy
        from duplicates.concept_rows as found
        left join duplicates.clusters using (sample_id)
    ) as members using (cluster_id)
    cross join policies
    where policies.rule = 'semdedup'
    group by all
),

played as (
    select
        policies.rule,
        policies.level,
        sizes.copies,
        sizes.pictures,
        case
            when sizes.decision = 'remove_all' then sizes.copies
            when sizes.decision = 'fine' then 0
            when policies.rule = 'keep' then greatest(sizes.copies - policies.level, 0)
            when sizes.copies >= policies.level then sizes.copies
            else 0
        end as removed
    from sizes
    cross join policies
    where policies.rule in ('keep', 'drop_from')
    union all
    select
        'distance', level, copies, count(*) as pictures,
        case decision when 'remove_all' then copies when 'fine' then 0 else removed end as removed
    from near
    group by all
    union all
    select
        'semdedup', level, copies, count(*),
        case decision when 'remove_all' then copies when 'fine' then 0 else removed end as removed
    from redundant
    group by all
    union all
    select policies.rule, policies.level, sizes.copies, sizes.pictures, if(sizes.decision = 'remove_all', 1, 0)
    from sizes
    cross join policies
    where policies.rule = 'distance' and sizes.copies = 1
),

totals as (
    select
        rule,
        level,
        sum(copies * pictures)::bigint as rows,
        sum(removed * pictures)::bigint as removed_rows,
        coalesce(sum(pictures) filter (where removed = copies), 0)::bigint as pictures_removed,
        max(copies - removed) as largest_count_after
    from played
    group by all
),

banded as (
    select
        played.rule,
        played.level,
        bands.band,
        bands.first,
        sum(played.pictures) as pictures,
        sum((played.copies - played.removed) * played.pictures) as rows
    from played
    join duplicates.bands on played.copies - played.removed between bands.first and bands.last
    group by all
),

frequencies as (
    select
        rule,
        level,
        list({'band': band, 'pictures': pictures::bigint, 'rows': rows::bigint} order by first) as frequency
    from banded
    group by all
)

select
    replace(policies.rule, '_', '-') || '-'
    || if(policies.rule = 'semdedup', format('{:g}', policies.level / 1000), policies.level::varchar) as policy,
    case policies.rule
        when 'keep' then if(
            policies.level = 1, 'one row of every picture stays', format('{:,} rows of every picture stay', policies.level)
        )
        when 'drop_from' then format('pictures that {:,} rows or more show go altogether', policies.level)
        when 'semdedup' then format(
            'rows within a cosine distance of {:.3g} by meaning of another in their concept go', policies.level / 1000
        )
        else format('rows up to {} PDQ bits from their representative go, which stays', policies.level)
    end as description,
    policies.rule,
    policies.level,
    coalesce(totals.rows, 0) as rows,
    coalesce(totals.removed_rows, 0) as removed_rows,
    coalesce(totals.rows - totals.removed_rows, 0) as kept_rows,
    coalesce(totals.removed_rows / nullif(totals.rows, 0), 0)::double as removed_share,
    coalesce(totals.pictures_removed, 0) as pictures_removed,
    coalesce(totals.largest_count_after, 0) as largest_count_after,
    coalesce(frequencies.frequency, []) as frequency
from policies
left join totals using (rule, level)
left join frequencies using (rule, level)
order by list_position(['keep', 'drop_from', 'distance', 'semdedup'], policies.rule), policies.level
