-- One row per training row that shares its picture with at least one other. Recalled rows are in no cluster.
-- A cluster is a component of confirmed pairs, cut so that every member was confirmed against the representative
-- itself: chains of small steps must not tie two different pictures together.
-- grain: cluster
-- unique: sample_id
-- unique: cluster_id, rank
-- unique: cluster_id, kept_rank
-- not_null: sample_id, cluster_id, representative_id, rank, kept_rank, method, distance_to_representative
-- assert: method in ('representative', 'sha256', 'pixels', 'pdq', 'aligned', 'decided')
-- assert: method in ('aligned', 'decided') or distance_to_representative <= 31
-- assert: method <> 'decided' or decided_by is not null
-- column sample_id: the training row
-- column cluster_id: the representative's sample_id; stable while the representative stays in the set
-- column representative_id: the largest picture of the cluster, the lowest id among equals, or the one that was decided
-- column rank: 1 is the representative, then the larger picture, then the lower id
-- column kept_rank: order in which rows are kept: 1 is the row that was decided to stay, else the one that policies.stays prefers; then the others by the same
-- column method: what confirmed the member against its representative; decided where a decision alone puts it there
-- column distance_to_representative: PDQ bits of 256, for every member; above 31 only where aligned pixels or a decision confirm
-- column decided_by: who decided something that changed the cluster, its members or its representative; NULL where nobody did
-- column aligned_distance_to_representative: root mean square of aligned pixels, where these confirm

with members as (
    select
        prints.*,
        images.width::bigint * images.height as pixels,
        prints.sample_id = prints.representative_id and chosen.picture_b is not null as chosen,
        list_transform(settings.policy_stays, lambda rule: case rule
            when 'largest' then -images.width::hugeint * images.height
            when 'sharpest' then -coalesce(images.pdq_quality, 0)::hugeint
            when 'best_license' then license_rank(samples.license)::hugeint
            when 'longest_caption' then -coalesce(length(samples.caption), 0)::hugeint
            else prints.sample_id::hugeint
        end) as preference
    from lance_cluster_members as prints
    join fingerprints.images as images using (sample_id)
    join catalog.samples as samples using (sample_id)
    cross join settings
    left join (
        select distinct picture_b from catalog.decisions where answer = 'keep' and standing = 'in force'
    ) as chosen on chosen.picture_b = images.pixel_sha256
    semi join fingerprints.images as representatives on representatives.sample_id = prints.representative_id
    anti join lance_recalled_rows as recalled on recalled.sample_id = prints.sample_id
),

sizes as (
    select representative_id, count(*) as members
    from members
    group by representative_id
),

deciders as (
    select decided.sample_id, string_agg(distinct decisions.decided_by, ', ' order by decisions.decided_by) as decided_by
    from (select sample_id, unnest(decisions) as decision_id from members where decisions is not null) as decided
    join catalog.decisions using (decision_id)
    group by decided.sample_id
)

select
    members.sample_id,
    members.representative_id as cluster_id,
    members.representative_id,
    row_number() over (
        partition by members.representative_id
        order by members.sample_id <> members.representative_id, members.pixels desc, members.sample_id
    ) as rank,
    row_number() over (
        partition by members.representative_id order by members.chosen desc, members.preference, members.sample_id
    ) as kept_rank,
    members.method,
    members.distance_to_representative,
    members.aligned_distance_to_representative,
    deciders.decided_by
from members
join sizes using (representative_id)
left join deciders using (sample_id)
where sizes.members > 1
