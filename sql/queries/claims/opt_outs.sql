-- The opt-out list of a claim: every training row that is confirmed, by its id and by the SHA-256 of its file, and every
-- claimed picture by its own hashes, so that it is found when it is delivered again.
select sample_id::varchar as sample_id, sha256, null::varchar as pdq, picture
from claim_rows
where verdict <> 'similar'
union all
select null, sha256, if(status = 'ok', pdq, null), picture
from claim_pictures
where sha256 is not null
order by picture, sample_id nulls first
