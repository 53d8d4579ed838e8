-- One row per count that decisions change: what it is with them, and what it would be without.
-- unique: measure
-- not_null: measure, with_decisions, without_decisions
-- column measure: what is counted
-- column with_decisions: as everything else in this version counts it
-- column without_decisions: as it would be if nobody had decided anything

with automatic as (
    select coalesce(members.automatic_representative_id, members.representative_id) as cluster_id, count(*) as rows
    from lance_cluster_members as members
    semi join fingerprints.images as images using (sample_id)
    anti join lance_recalled_rows as recalled using (sample_id)
    group by all
    having count(*) > 1
),

undecided as (
    select count(*) as clusters, coalesce(sum(rows), 0)::bigint as rows, coalesce(max(rows), 1) as largest
    from automatic
),

decided as (
    select
        count(*) as clusters,
        coalesce(sum(duplicate_count), 0)::bigint as rows,
        coalesce(max(duplicate_count), 1) as largest
    from duplicates.counts
),

going as (
    select
        (select count(*) from duplicates.clusters)
        - (select count(*) from duplicates.counts)
        + coalesce(sum(case answer when 'remove_all' then 1 when 'fine' then 1 - rows end), 0)::bigint as rows
    from duplicates.removals
),

verdicts as (
    select
        count(*) filter (where confirms_copy(verdict)) as copies,
        count(*) filter (where confirms_copy(measured_verdict)) as measured,
        count(*) filter (where verdict = 'similar') as similar_,
        count(*) filter (where measured_verdict = 'similar') as measured_similar
    from provenance.generations
)

select 'pictures that recur' as measure, decided.clusters as with_decisions, undecided.clusters as without_decisions
from decided cross join undecided
union all
select 'training rows that show one of them', decided.rows, undecided.rows from decided cross join undecided
union all
select 'rows of the most repeated one', decided.largest, undecided.largest from decided cross join undecided
union all
select 'rows to remove where one of each picture stays', going.rows, undecided.rows - undecided.clusters
from going cross join undecided
union all
select 'generations with a confirmed copy', copies, measured from verdicts
union all
select 'generations that are similar to a training picture', similar_, measured_similar from verdicts
