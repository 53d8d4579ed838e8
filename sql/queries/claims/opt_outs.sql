-- The opt-out list of a claim: every training row that is confirmed, by its id, the SHA-256 of its file and, if it shows
-- the whole picture, its perceptual hash; and every claimed picture by its own hashes, turned and mirrored too. So they are
-- found when they are delivered again, as they are or near.
-- $within: bits in which the hash of a row may differ
with hashes as (
    select picture, unnest(list_distinct(list_prepend(pdq, dihedral_pdq))) as pdq, pdq as own
    from claim_pictures
    where status = 'ok'
)

select
    sample_id::varchar as sample_id,
    sha256,
    if(whole, pdq, null) as pdq,
    if(whole, $within, null) as within,
    picture
from (
    select *, verdict in ('exact', 'copy') and pdq is not null as whole
    from claim_rows
)
where verdict <> 'similar'
union all
select null, sha256, null, null, picture
from claim_pictures
where sha256 is not null
union all
select null, null, pdq, $within, picture
from hashes
order by picture, sample_id nulls first, sha256 nulls last, pdq
