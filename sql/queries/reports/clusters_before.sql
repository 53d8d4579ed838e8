-- One row: how many repeated pictures come up to the cluster $cluster in the order of the gallery, itself included.
select count(*) as clusters
from duplicates.counts as other, duplicates.counts as this
where this.cluster_id = $cluster and (
    other.duplicate_count > this.duplicate_count
    or (other.duplicate_count = this.duplicate_count and other.cluster_id <= this.cluster_id)
)
