-- One row per band of duplicate counts: of the pictures trained on this often, how many came back in a generation?
-- unique: band
-- not_null: band, pictures, reproduced, share
-- column band: how many training rows show the picture, recalled ones not counted
-- column pictures: different pictures in the band
-- column reproduced: of these, pictures that some generation copies (exact, copy or partial_copy)

with copied as (
    select distinct cluster_id
    from provenance.sources
    where verdict in ('exact', 'copy', 'partial_copy')
)

select
    bands.band,
    count(*) as pictures,
    count(copied.cluster_id) as reproduced,
    count(copied.cluster_id) / count(*)::double as share
from duplicates.pictures
join duplicates.bands on pictures.copies between bands.first and bands.last
left join copied using (cluster_id)
group by bands.band, bands.first
order by bands.first
