-- One row per claimed picture and generation that copies a training row which shows it, confirmed by pixels.
select distinct on (rows.picture, sources.generation_id) rows.picture, sources.generation_id, sources.verdict
from claim_rows as rows
join provenance.sources as sources using (sample_id)
where confirms_copy(sources.verdict) and confirms_copy(rows.verdict)
order by rows.picture, sources.generation_id, sources.rank
