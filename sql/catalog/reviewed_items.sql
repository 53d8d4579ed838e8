-- One row per pair, cluster, case or block that was drawn at random and answered: what the warehouse said of it, and what
-- people say. Items that were chosen otherwise, and answers that were undone, are left out. Of several answers the last one
-- counts. Of a cluster the answer is whether its rows show one picture: it is not, once anybody who looked cut one out.
-- unique: kind, picture_a, picture_b
-- not_null: kind, picture_a, said, answer, answered, agrees, stratum, stratum_size, people
-- column kind: pair, cluster, case or guard_block
-- column picture_a: SHA-256 of the pixels of the first picture, see catalog.decisions
-- column picture_b: of the second one, where there are two
-- column said: the method that found a pair, tied a cluster or decided a block, the verdict of a case, when it was looked at
-- column answer: the last answer; of a cluster one_picture, several or unsure
-- column answered: false where the last answer is unsure
-- column agrees: whether the answer is what the warehouse says: of a pair that is only similar, and of a similar case, that it is none
-- column stratum: the group of items that it was drawn from
-- column stratum_size: items of that group
-- column people: how many answered
-- column first_answer: of the first two people who were sure, the answer of one; NULL where fewer were
-- column second_answer: the answer of the other

with own as (
    select
        *,
        if(kind in ('pair', 'case'), picture_b, null) as other,
        -- while a cluster was looked at
        bool_or(kind = 'pair' and verdict_seen = 'one picture') over (
            partition by kind, picture_a, other, decided_by
        ) as cut_out
    from catalog.decisions
    where standing in ('in force', 'superseded') and (kind not in ('pair', 'case') or picture_b is not null)
    -- a person's own last answer
    qualify row_number() over (
        partition by kind, picture_a, other, decided_by order by decided_at desc, decision_id desc
    ) = 1
),

-- pictures that somebody cut out of their cluster, and those that stood for it
cuts as (
    select picture, list(distinct decided_by) as people
    from (
        select unnest([picture_a, picture_b]) as picture, decided_by
        from own
        where cut_out and answer = 'different'
    )
    group by picture
),

answers as (
    select
        own.* exclude (answer),
        case
            when own.kind <> 'cluster' then own.answer
            when list_contains(cuts.people, own.decided_by) then 'several'
            when own.answer = 'unsure' then 'unsure'
            else 'one_picture'
        end as answer,
        coalesce(own.kind = 'cluster' and cuts.people is not null, false) as cut
    from own
    left join cuts on cuts.picture = own.picture_a
),

drawn as (
    select
        kind,
        picture_a,
        other as picture_b,
        max_by(if(kind = 'case', verdict_seen, method_seen), decided_at) filter (where stratum is not null) as said,
        max_by(answer, (decided_at, decision_id)) as last_answer,
        bool_or(cut) as cut,
        max_by(stratum, decided_at) filter (where stratum is not null) as stratum,
        max_by(stratum_size, decided_at) filter (where stratum is not null) as stratum_size,
        count(*) as people,
        list(answer order by decided_at, decision_id) filter (where answer <> 'unsure') as sure
    from answers
    group by all
)

select
    kind,
    picture_a,
    picture_b,
    said,
    if(cut, 'several', last_answer) as answer,
    cut or last_answer <> 'unsure' as answered,
    case
        when kind = 'cluster' then not cut and last_answer = 'one_picture'
        when said = 'similar' and kind <> 'guard_block' then last_answer in ('different', 'not_a_copy')
        else last_answer in ('same', 'copy', 'block')
    end as agrees,
    stratum,
    stratum_size,
    people,
    if(len(sure) > 1, sure[1], null) as first_answer,
    if(len(sure) > 1, sure[2], null) as second_answer
from drawn
where said is not null and stratum_size is not null
