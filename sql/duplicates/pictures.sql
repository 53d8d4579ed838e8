-- One row per different picture among the usable training rows that are not recalled, and how many of them show it.
-- unique: cluster_id
-- not_null: cluster_id, copies, flat
-- column cluster_id: the cluster, or the row's own id where no other row shows the picture
-- column copies: training rows that show it
-- column decision: remove_all or fine, where it was decided of the picture, see duplicates.removals
-- column flat: it is too flat to resemble anything (status low_quality), such as a white placeholder

-- rows that share their picture with no other need no grouping, and they are most
with shown as (
    select
        images.sample_id,
        clusters.cluster_id,
        images.status = 'low_quality' as flat
    from fingerprints.images
    left join duplicates.clusters using (sample_id)
    anti join (select sample_id from catalog.samples where recalled) as recalled using (sample_id)
    where images.status <> 'failed'
),

pictures as (
    select sample_id as cluster_id, 1 as copies, flat
    from shown
    where cluster_id is null
    union all
    select cluster_id, count(*) as copies, bool_and(flat) as flat
    from shown
    where cluster_id is not null
    group by cluster_id
)

select pictures.cluster_id, pictures.copies, pictures.flat, removals.answer as decision
from pictures
left join duplicates.removals using (cluster_id)
