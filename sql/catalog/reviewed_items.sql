-- One row per pair or case that was drawn at random and answered: what the warehouse said of it, and what people say.
-- Items that were chosen otherwise, and answers that were undone, are left out. Of several answers the last one counts.
-- unique: kind, picture_a, picture_b
-- not_null: kind, picture_a, picture_b, said, answer, answered, agrees, stratum, stratum_size, people
-- column kind: pair or case
-- column picture_a: SHA-256 of the pixels of the first picture, see catalog.decisions
-- column picture_b: of the second one
-- column said: the method that found a pair, the verdict of a case, when it was looked at
-- column answer: the last answer
-- column answered: false where the last answer is unsure
-- column agrees: whether the answer is what the warehouse says: of a pair that is only similar, and of a similar case, that it is none
-- column stratum: the group of items that it was drawn from
-- column stratum_size: items of that group
-- column people: how many answered
-- column first_answer: of the first two people who were sure, the answer of one; NULL where fewer were
-- column second_answer: the answer of the other

with answers as (
    select *
    from catalog.decisions
    where kind in ('pair', 'case') and standing in ('in force', 'superseded') and picture_b is not null
    -- a person's own last answer
    qualify row_number() over (
        partition by kind, picture_a, picture_b, decided_by order by decided_at desc, decision_id desc
    ) = 1
),

drawn as (
    select
        kind,
        picture_a,
        picture_b,
        max_by(if(kind = 'pair', method_seen, verdict_seen), decided_at) filter (where stratum is not null) as said,
        max_by(answer, (decided_at, decision_id)) as answer,
        max_by(stratum, decided_at) filter (where stratum is not null) as stratum,
        max_by(stratum_size, decided_at) filter (where stratum is not null) as stratum_size,
        count(*) as people,
        list(answer order by decided_at, decision_id) filter (where answer <> 'unsure') as sure
    from answers
    group by kind, picture_a, picture_b
)

select
    kind,
    picture_a,
    picture_b,
    said,
    answer,
    answer <> 'unsure' as answered,
    if(said = 'similar', answer in ('different', 'not_a_copy'), answer in ('same', 'copy')) as agrees,
    stratum,
    stratum_size,
    people,
    if(len(sure) > 1, sure[1], null) as first_answer,
    if(len(sure) > 1, sure[2], null) as second_answer
from drawn
where said is not null and stratum_size is not null
