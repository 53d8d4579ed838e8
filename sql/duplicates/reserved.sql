-- One row per picture that the file of some training row reserves from training: who says so, and who says nothing?
-- Copies on the web lose their metadata: one says no, and a hundred say nothing. What one says is said of the picture.
-- `policies.honour_copies` withdraws the silent ones too.
-- unique: cluster_id
-- not_null: cluster_id, rows, reserved_rows, silent_rows, recalled_rows, reserved_by, sample_id, reason
-- assert: rows = reserved_rows + silent_rows
-- assert: reserved_rows >= 1 and rows >= recalled_rows
-- column cluster_id: the cluster; the row's own id where no other row shows the picture
-- column rows: training rows that show the picture, recalled ones too
-- column reserved_rows: of these, rows of which is said that they are reserved (`catalog.rights.reserved`)
-- column silent_rows: the others
-- column recalled_rows: rows that an opt-out list, or `policies.honour`, withdrew
-- column reserved_by: by what, of any of the rows: plus, c2pa, headers
-- column sample_id: the first of the reserved rows
-- column reason: its reason, in words

with stated as (
    select
        rights.sample_id,
        rights.reserved_by,
        rights.reason,
        coalesce(members.representative_id, rights.sample_id) as cluster_id
    from catalog.rights
    left join lance_cluster_members as members using (sample_id)
    where rights.reserved
),

reserving as (
    select
        cluster_id,
        count(*) as reserved_rows,
        list_sort(list_distinct(flatten(list(reserved_by)))) as reserved_by,
        min(sample_id) as sample_id,
        min_by(reason, sample_id) as reason
    from stated
    group by cluster_id
),

showing as (
    select members.sample_id, members.representative_id as cluster_id
    from lance_cluster_members as members
    semi join reserving on reserving.cluster_id = members.representative_id
    union  -- a row that is alone in its picture is no member of anything
    select sample_id, cluster_id from stated
),

shown as (
    select
        showing.cluster_id,
        count(*) as rows,
        count(*) filter (where samples.recalled) as recalled_rows
    from showing
    join catalog.samples using (sample_id)
    group by showing.cluster_id
)

select
    reserving.cluster_id,
    shown.rows,
    reserving.reserved_rows,
    shown.rows - reserving.reserved_rows as silent_rows,
    shown.recalled_rows,
    reserving.reserved_by,
    reserving.sample_id,
    reserving.reason
from reserving
join shown using (cluster_id)
order by reserving.cluster_id
