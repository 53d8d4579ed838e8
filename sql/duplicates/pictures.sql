-- One row per different picture among the usable training rows that are not recalled, and how many of them show it.
-- as: view
-- unique: cluster_id
-- not_null: cluster_id, copies
-- column cluster_id: the cluster, or the row's own id where no other row shows the picture
-- column copies: training rows that show it

select coalesce(clusters.cluster_id, images.sample_id) as cluster_id, count(*) as copies
from fingerprints.images
left join duplicates.clusters using (sample_id)
anti join (select sample_id from catalog.samples where recalled) as recalled using (sample_id)
where images.status <> 'failed'
group by all
