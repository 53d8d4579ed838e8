-- One row per training row that shares its picture with at least one other. Recalled rows are in no cluster.
-- A cluster is a component of confirmed pairs, cut so that every member was confirmed against the representative
-- itself: chains of small steps must not tie two different pictures together.
-- unique: sample_id
-- unique: cluster_id, rank
-- not_null: sample_id, cluster_id, representative_id, rank, method, distance_to_representative
-- assert: method in ('representative', 'sha256', 'pixels', 'pdq', 'aligned')
-- assert: method = 'aligned' or distance_to_representative <= 31
-- column sample_id: the training row
-- column cluster_id: the representative's sample_id; stable while the representative stays in the set
-- column representative_id: the largest picture of the cluster, the lowest id among equals
-- column rank: order in which rows are kept: 1 is the representative, then the larger picture, then the lower id
-- column method: what confirmed the member against its representative
-- column distance_to_representative: PDQ bits of 256, for every member; above 31 only where aligned pixels confirm
-- column aligned_distance_to_representative: root mean square of aligned pixels, where these confirm

with members as (
    select prints.*, images.width::bigint * images.height as pixels
    from lance_cluster_members as prints
    join fingerprints.images as images using (sample_id)
    semi join fingerprints.images as representatives on representatives.sample_id = prints.representative_id
    anti join lance_recalled_rows as recalled on recalled.sample_id = prints.sample_id
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
    row_number() over (
        partition by members.representative_id
        order by members.sample_id <> members.representative_id, members.pixels desc, members.sample_id
    ) as rank,
    members.method,
    members.distance_to_representative,
    members.aligned_distance_to_representative
from members
join sizes using (representative_id)
where sizes.members > 1
