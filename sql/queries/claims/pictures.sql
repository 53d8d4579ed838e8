-- One row per claimed picture: what the training set holds of it. Rows, hosts, captions and licences are those of rows
-- whose match is confirmed; rows of matches that are only similar count apart.
with counted as (
    select
        picture,
        count(*) filter (where confirmed) as rows,
        count(*) filter (where confirmed and withdrawn) as withdrawn_rows,
        count(*) filter (where not confirmed) as similar_rows,
        count(distinct host) filter (where confirmed) as host_count,
        list(distinct host order by host) filter (where confirmed and host is not null) as hosts,
        count(distinct caption) filter (where confirmed) as caption_count,
        list(distinct coalesce(licence, 'unknown') order by coalesce(licence, 'unknown')) filter (where confirmed)
            as licences
    from (select *, verdict <> 'similar' as confirmed from claim_rows)
    group by picture
),

copied as (
    select picture, count(*) as generations, list(generation_id order by generation_id) as generation_ids
    from claim_generations
    group by picture
)

select
    pictures.picture,
    pictures.verdict,
    case
        when confirms_copy(pictures.verdict) and counted.picture is not null then 'yes'
        when pictures.verdict = 'similar' and counted.picture is not null then 'not confirmed'
        when pictures.verdict = 'not_searched' then 'not searched'
        when pictures.not_compared > 0 then 'not found, and not all could be compared'
        else 'not found'
    end as trained_on,
    coalesce(counted.rows, 0) as rows,
    coalesce(counted.withdrawn_rows, 0) as withdrawn_rows,
    coalesce(counted.similar_rows, 0) as similar_rows,
    coalesce(counted.host_count, 0) as host_count,
    coalesce(counted.hosts, []) as hosts,
    coalesce(counted.caption_count, 0) as caption_count,
    coalesce(counted.licences, []) as licences,
    coalesce(copied.generations, 0) as generations,
    coalesce(copied.generation_ids, []) as generation_ids,
    pictures.* exclude (picture, verdict, dihedral_pdq)
from claim_pictures as pictures
left join counted using (picture)
left join copied using (picture)
order by
    list_position(['exact', 'copy', 'partial_copy', 'altered_copy', 'similar', 'no_match_found', 'not_searched'], pictures.verdict),
    coalesce(counted.rows, 0) desc,
    pictures.picture
