-- One row per band of duplicate counts: how many pictures recur that often, and how many rows is that?
-- unique: band
-- not_null: band, clusters, rows, share_of_rows
-- assert: share_of_rows between 0 and 1
-- column band: training rows that show the same picture, recalled ones not counted
-- column clusters: different pictures in the band (a picture that only one row shows counts as one)
-- column share_of_rows: of all training rows with a usable picture that are not recalled
-- column rows: training rows that show a picture of the band

select
    bands.band,
    count(*) as clusters,
    sum(pictures.copies)::bigint as rows,
    sum(pictures.copies) / sum(sum(pictures.copies)) over () as share_of_rows
from duplicates.pictures
join duplicates.bands on pictures.copies between bands.first and bands.last
group by bands.band, bands.first
order by bands.first
