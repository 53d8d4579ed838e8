-- One row per training row in a cluster, in order of the rows.
select sample_id, cluster_id from duplicates.clusters order by sample_id
