-- One row per band of duplicate counts: of the pictures trained on this often, how many came back in a generation?
-- unique: band
-- not_null: band, pictures, reproduced, share, share_low, share_high
-- not_null: extracted, extracted_share, extracted_low, extracted_high
-- assert: extracted <= reproduced and reproduced <= pictures
-- assert: share between share_low and share_high and share_low >= 0 and share_high <= 1
-- assert: extracted_share between extracted_low and extracted_high and extracted_low >= 0 and extracted_high <= 1
-- column share: reproduced / pictures
-- column extracted_share: extracted / pictures
-- column band: how many training rows show the picture, recalled ones not counted
-- column pictures: different pictures in the band, flat ones left out, as flat generations are
-- column reproduced: of these, pictures that some generation copies, confirmed by pixels (exact, copy or partial_copy; altered copies are not counted)
-- column share_low: Wilson's 95% interval of the share, which takes pictures for independent
-- column share_high: its upper end
-- column extracted: of these, pictures that some generation shows whole and unaligned: (l2, delta)-extraction
-- column extracted_low: Wilson's 95% interval of extracted_share
-- column extracted_high: its upper end

with copied as (
    select cluster_id, coalesce(bool_or(extracted), false) as extracted
    from provenance.memorization
    group by cluster_id
),

counted as (
    select
        bands.band,
        bands.first,
        count(*) as pictures,
        count(copied.cluster_id) as reproduced,
        count(*) filter (where copied.extracted) as extracted
    from duplicates.pictures
    join duplicates.bands on pictures.copies between bands.first and bands.last
    left join copied using (cluster_id)
    where not pictures.flat
    group by bands.band, bands.first
),

shared as (
    select *, reproduced / pictures::double as share, extracted / pictures::double as extracted_share
    from counted
)

select
    band,
    pictures,
    reproduced,
    share,
    wilson_low(share, pictures) as share_low,
    wilson_high(share, pictures) as share_high,
    extracted,
    extracted_share,
    wilson_low(extracted_share, pictures) as extracted_low,
    wilson_high(extracted_share, pictures) as extracted_high
from shared
order by first
