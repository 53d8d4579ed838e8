-- One row per decision that people gave: did the warehouse follow, and if it waits, for what?
-- unique: decision_id
-- not_null: decision_id, decided_at, decided_by, kind, answer, state
-- assert: state in ('applied', 'waiting', 'no effect', 'superseded', 'undone', 'undo')
-- assert: (state = 'waiting') = (waits_for is not null)
-- column decision_id: of catalog.decisions, which has the rest
-- column decided_at: when, in UTC
-- column decided_by: who decided
-- column kind: pair, cluster, case or guard_block
-- column answer: what was answered
-- column reason: why, in the words of who decided
-- column picture_a: SHA-256 of the pixels of the first picture
-- column picture_b: SHA-256 of the pixels of the second picture, where there are two
-- column state: applied; waiting; no effect (unsure); superseded by a later answer; undone; of a row that takes one back: undo
-- column waits_for: why the warehouse cannot follow it

with shown as (
    select images.pixel_sha256, bool_or(recalled.sample_id is null) as live
    from fingerprints.images as images
    semi join (
        select picture_a as picture from catalog.decisions
        union
        select picture_b from catalog.decisions where picture_b is not null
    ) as named on named.picture = images.pixel_sha256
    left join lance_recalled_rows as recalled on recalled.sample_id = images.sample_id
    where images.status <> 'failed'
    group by images.pixel_sha256
),

-- the cluster that a named picture is in
places as (
    select distinct images.pixel_sha256, coalesce(members.representative_id, images.sample_id) as cluster_id
    from fingerprints.images as images
    semi join shown on shown.pixel_sha256 = images.pixel_sha256
    left join lance_cluster_members as members on members.sample_id = images.sample_id
    where images.status <> 'failed'
),

generated as (
    select pixel_sha256, count(*) as generations
    from catalog.generations
    where pixel_sha256 is not null
    group by pixel_sha256
),

blocked as (
    select pixel_sha256 from provenance.guard_log where pixel_sha256 is not null
    union
    select pixel_sha256 from generated
),

followed as (
    select
        decisions.*,
        case
            when decisions.standing <> 'in force' or decisions.answer = 'unsure' then null
            when clusters.decision_id is not null then clusters.why
            when decisions.kind in ('pair', 'cluster') and a.pixel_sha256 is null
                then 'no training row shows the picture ' || decisions.picture_a || ' now'
            when decisions.kind = 'cluster' and decisions.answer in ('remove_all', 'fine') then case
                when not a.live then 'every row that shows the picture is recalled'
                when removals.decision_id is not null then null
                when later.decided_at > decisions.decided_at then 'a later decision about the same cluster holds'
                else 'the clusters were made before it was given; the next run of everything follows'
            end
            when decisions.kind in ('pair', 'cluster')
                then 'the clusters were made before it was given; the next run of everything follows'
            when decisions.kind = 'case' then case
                when generated.pixel_sha256 is null
                    then 'no generation shows the picture ' || decisions.picture_a || ' now'
                when b.pixel_sha256 is null
                    then 'no training row shows the picture ' || decisions.picture_b || ' now'
                when not coalesce(compared.decision = decisions.answer, false)
                    then 'the two pictures are not compared now'
            end
            when decisions.kind = 'guard_block' and blocked.pixel_sha256 is null
                then 'no check of the image is logged, and no generation shows it'
        end as waits_for
    from catalog.decisions
    left join lance_cluster_decisions as clusters using (decision_id)
    left join shown as a on a.pixel_sha256 = decisions.picture_a
    left join shown as b on b.pixel_sha256 = decisions.picture_b
    left join generated on generated.pixel_sha256 = decisions.picture_a
    left join blocked on blocked.pixel_sha256 = decisions.picture_a
    left join duplicates.removals on removals.decision_id = decisions.decision_id
    left join (
        select places.pixel_sha256, max(decisions.decided_at) as decided_at
        from places
        join duplicates.removals on removals.cluster_id = places.cluster_id
        join catalog.decisions on decisions.decision_id = removals.decision_id and decisions.standing = 'in force'
        group by places.pixel_sha256
    ) as later on later.pixel_sha256 = decisions.picture_a
    left join (
        select generations.pixel_sha256 as generation, places.pixel_sha256 as source, any_value(evidence.decision) as decision
        from matches.evidence
        join catalog.generations using (generation_id)
        left join lance_cluster_members as members on members.sample_id = evidence.sample_id
        join places on places.cluster_id = coalesce(members.representative_id, evidence.sample_id)
        where evidence.decision is not null
        group by all
    ) as compared on compared.generation = decisions.picture_a and compared.source = decisions.picture_b
)

select
    decision_id,
    decided_at,
    decided_by,
    kind,
    answer,
    reason,
    picture_a,
    picture_b,
    case
        when standing <> 'in force' then standing
        when answer = 'unsure' then 'no effect'
        when waits_for is not null then 'waiting'
        else 'applied'
    end as state,
    waits_for
from followed
order by decided_at, decision_id
