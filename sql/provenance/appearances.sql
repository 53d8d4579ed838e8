-- One row per picture that is a likely source, host and licence: where was it served from, and on what terms?
-- Every training row that shows the picture counts, recalled ones too: the model was trained on them all the same.
-- Join it to provenance.sources by cluster_id to see what a host or a licence has to do with a generation.
-- unique: cluster_id, host, license
-- not_null: cluster_id, host, license, rows, recalled_rows
-- assert: rows >= 1
-- assert: rows >= recalled_rows
-- column cluster_id: of the picture, as in provenance.sources
-- column host: as the rows' URLs name it; 'unknown' for rows whose URL names none
-- column license: as the rows state it; 'unknown' for rows that state none, which is not to say free
-- column rows: training rows that show the picture, are served from the host and state the licence
-- column recalled_rows: of these, withdrawn by an opt-out list

with pictures as (
    select distinct cluster_id from provenance.sources
),

showing as (
    select members.sample_id, pictures.cluster_id
    from lance_cluster_members as members
    join pictures on pictures.cluster_id = members.representative_id
    union  -- the picture's own row: it is no member of anything where it is alone
    select cluster_id, cluster_id from pictures
)

select
    showing.cluster_id,
    coalesce(samples.url_host, 'unknown') as host,
    if(lower(coalesce(samples.license, '')) in ('', 'unknown'), 'unknown', samples.license) as license,
    count(*) as rows,
    count(*) filter (where samples.recalled) as recalled_rows
from showing
join catalog.samples using (sample_id)
group by all
order by all
