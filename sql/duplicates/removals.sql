-- One row per picture of which it was decided whether its rows stay: all of them go, or all are fine as they are.
-- duplicates.policies counts them so whatever a policy says, and `raisonne export removal-list` follows.
-- unique: cluster_id
-- not_null: cluster_id, answer, decision_id, decided_by, rows
-- assert: answer in ('remove_all', 'fine')
-- column cluster_id: the cluster, or the row's own id where no other row shows the picture
-- column answer: remove_all (every row of it goes) or fine (none goes as a duplicate)
-- column decision_id: the decision: of several about pictures of one cluster the last
-- column decided_by: who decided so
-- column reason: why, in the words of who decided
-- column rows: training rows that show it and are not recalled

with decided as (
    select *
    from catalog.decisions
    where kind = 'cluster' and standing = 'in force' and answer in ('remove_all', 'fine')
),

named as (
    select decided.*, coalesce(clusters.cluster_id, images.sample_id) as cluster_id
    from decided
    join fingerprints.images as images on images.pixel_sha256 = decided.picture_a and images.status <> 'failed'
    left join duplicates.clusters as clusters on clusters.sample_id = images.sample_id
    anti join lance_recalled_rows as recalled on recalled.sample_id = images.sample_id
),

last as (
    select *
    from named
    qualify row_number() over (partition by cluster_id order by decided_at desc, decision_id desc) = 1
)

select
    last.cluster_id,
    last.answer,
    last.decision_id,
    last.decided_by,
    last.reason,
    (select greatest(1, count(*)) from duplicates.clusters where clusters.cluster_id = last.cluster_id) as rows
from last
order by last.cluster_id
