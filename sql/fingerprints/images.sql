-- One row per training row that the image dump names: its picture, readable or not, or why there is none.
-- grain: shard
-- unique: sample_id
-- not_null: sample_id, status, not_downloaded, missing
-- assert: status in ('ok', 'low_quality', 'failed')
-- assert: (status = 'failed') = (failure is not null)
-- assert: status = 'failed' or (length(sha256) = 64 and length(pdq) = 64)
-- column sample_id: the training row
-- column dataset: its dataset
-- column height: pixels of the delivered picture
-- column member: name of the picture in the image dump
-- column status: ok; low_quality (too flat for PDQ, other fingerprints hold); failed
-- column failure: why the picture could not be used, in plain words
-- column note: what is odd about a file whose pixels are whole: broken or oversized metadata, a missing end, further frames
-- column not_downloaded: failed because the dump's own report says that it was never downloaded; other failed pictures are there and cannot be read
-- column missing: failed because the dump names it and holds no bytes of it
-- column sha256: of the file's bytes
-- column pixel_sha256: of all that the file shows: its pixels, its transparency, its samples in all bits; equal pictures in different containers share it, but of several frames, or of colours of more than 8 bits, only equal files do
-- column pdq: 256-bit perceptual hash, 64 hexadecimal digits
-- column pdq_quality: 0 to 100; below thresholds.pdq_quality the hash is not compared
-- column width: pixels of the delivered picture
-- column bytes: size of the picture's file as the dump holds it; NULL where the dump holds none

select
    prints.sample_id,
    samples.dataset,
    prints.status,
    prints.failure,
    prints.note,
    prints.sha256,
    prints.pixel_sha256,
    prints.pdq,
    prints.pdq_quality,
    prints.width,
    prints.height,
    if(prints.member = '', null, prints.member_size) as bytes,
    prints.member,
    coalesce(starts_with(prints.failure, 'not downloaded:'), false) as not_downloaded,
    coalesce(starts_with(prints.failure, 'missing:'), false) as missing
from lance_image_fingerprints as prints
join catalog.samples using (sample_id)
