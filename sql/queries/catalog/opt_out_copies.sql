-- A row per training row that shows the picture of one whose file is honoured, with that row: of equal pixels, or tied by
-- one pair to a row of equal pixels. Copies of copies of copies do not count.
with equal as (
    select shown.sample_id, honoured.sample_id as said_by, honoured.kind, honoured.value
    from honoured
    join pixels as own on own.sample_id = honoured.sample_id
    join pixels as shown on shown.pixel_sha256 = own.pixel_sha256
),

tied as (
    select pairs.sample_id_b as sample_id, equal.said_by, equal.kind, equal.value
    from equal
    join pairs on pairs.sample_id_a = equal.sample_id
    union all
    select pairs.sample_id_a, equal.said_by, equal.kind, equal.value
    from equal
    join pairs on pairs.sample_id_b = equal.sample_id
),

found as (
    select * from equal
    union all
    select shown.sample_id, tied.said_by, tied.kind, tied.value
    from tied
    join pixels as own on own.sample_id = tied.sample_id
    join pixels as shown on shown.pixel_sha256 = own.pixel_sha256
)

select
    found.sample_id,
    min_by(found.kind, found.said_by) as kind,
    format('a copy of row {}: {}', min(found.said_by), min_by(found.value, found.said_by)) as value
from found
anti join honoured using (sample_id)
semi join catalog.samples using (sample_id)
group by found.sample_id
