-- One row per decision that people gave: who answered what about which pictures, and whether it holds.
-- Rows are added and never changed. A later answer to the same question takes the place of an earlier one; an undo takes
-- one back, and the one before it holds again. Whether the warehouse follows is in reports.decisions.
-- unique: decision_id
-- not_null: decision_id, decided_at, decided_by, kind, answer, picture_a, standing
-- assert: kind in ('pair', 'cluster', 'case', 'guard_block')
-- assert: answer in ('same', 'different', 'keep', 'remove_all', 'fine', 'not_a_copy', 'copy', 'block', 'allow', 'unsure', 'undo')
-- assert: standing in ('in force', 'superseded', 'undone', 'undo')
-- column decision_id: name of the decision
-- column decided_at: when, in UTC
-- column decided_by: who decided
-- column kind: of what: pair and cluster (of training pictures), case (of a generation and a training picture), guard_block
-- column answer: same, different; keep (picture_b stands for the cluster and its row stays), remove_all, fine; not_a_copy, copy; block, allow; unsure; undo
-- column picture_a: SHA-256 of pixels: the lower of a pair, a cluster's representative when it was looked at, the generation, the image blocked
-- column picture_b: SHA-256 of pixels: the other of a pair, the picture to keep, the training picture; NULL for other answers
-- column undoes: of an undo, the decision that it takes back
-- column reason: why, in the words of who decided
-- column version_seen: the published version that was looked at
-- column verdict_seen: the verdict that it gave
-- column method_seen: the method that had found it
-- column seconds: what the decision took
-- column queue: how the item was chosen: ranked, sampled, second or imported
-- column blind: whether the verdict was hidden
-- column stratum: of a sampled item, the group that it was drawn from
-- column stratum_size: items of that group
-- column probability: how likely it was to be drawn
-- column standing: in force; superseded (by a later answer to the same question); undone; of a row that takes one back: undo

with answers as (
    select
        decisions.*,
        kind || ' ' || picture_a || ' ' || case
            when kind in ('pair', 'case') then picture_b
            when answer = 'keep' then 'kept'
            else ''
        end as question,
        undone.undoes is not null as undone
    from lance_decisions as decisions
    left join (select distinct undoes from lance_decisions where undoes is not null) as undone
        on undone.undoes = decisions.decision_id
)

select
    * exclude (question, undone),
    case
        when answer = 'undo' then 'undo'
        when undone then 'undone'
        when row_number() over (
            partition by question, undone or answer = 'undo' order by decided_at desc, decision_id desc
        ) > 1 then 'superseded'
        else 'in force'
    end as standing
from answers
order by decided_at, decision_id
