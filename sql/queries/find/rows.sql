-- One row per training row, with all that a condition of `raisonne find` may be about.
select samples.*, clusters.cluster_id, counts.duplicate_count
from catalog.samples
left join duplicates.clusters using (sample_id)
left join duplicates.counts using (cluster_id)
