-- One row per training row that shares its picture with at least one other.
-- A cluster is a component of confirmed pairs, cut so that every member was confirmed against the representative
-- itself: chains of small steps must not tie two different pictures together.
-- unique: sample_id
-- not_null: sample_id, cluster_id, representative_id, method, distance_to_representative
-- assert: method in ('representative', 'sha256', 'pdq', 'aligned')
-- assert: method = 'aligned' or distance_to_representative <= 31
-- column cluster_id: the representative's sample_id; stable while the representative stays in the set
-- column representative_id: the largest picture of the cluster, the lowest id among equals
-- column method: what confirmed the member against its representative
-- column distance_to_representative: PDQ bits of 256, for every member; above 31 only where aligned pixels confirm
-- column aligned_distance_to_representative: root mean square of aligned pixels, where these confirm

with members as (
    select prints.*
    from lance_cluster_members as prints
    semi join fingerprints.images as images using (sample_id)
    semi join fingerprints.images as representatives on representatives.sample_id = prints.representative_id
),

sizes as (
    select representative_id, count(*) as members
    from members
    group by representative_id
)

select
    members.sample_id,
    members.representative_id as cluster_id,
    members.representative_id,
    members.method,
    members.distance_to_representative,
    members.aligned_distance_to_representative
from members
join sizes using (representative_id)
where sizes.members > 1
