-- One row per different picture among the usable training rows that are not recalled, and how many of them show it.
-- as: view
-- unique: cluster_id
-- not_null: cluster_id, copies, flat
-- column cluster_id: the cluster, or the row's own id where no other row shows the picture
-- column copies: training rows that show it
-- column decision: remove_all or fine, where it was decided of the picture, see duplicates.removals
-- column flat: it is too flat to resemble anything (status low_quality), such as a white placeholder

select
    coalesce(clusters.cluster_id, images.sample_id) as cluster_id,
    count(*) as copies,
    bool_and(images.status = 'low_quality') as flat,
    any_value(removals.answer) as decision
from fingerprints.images
left join duplicates.clusters using (sample_id)
left join duplicates.removals on removals.cluster_id = coalesce(clusters.cluster_id, images.sample_id)
anti join (select sample_id from catalog.samples where recalled) as recalled using (sample_id)
where images.status <> 'failed'
group by coalesce(clusters.cluster_id, images.sample_id)
