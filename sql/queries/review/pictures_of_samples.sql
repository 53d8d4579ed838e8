-- For each of the training rows $rows: the SHA-256 of its picture's pixels and of its file.
select sample_id, pixel_sha256, sha256
from fingerprints.images
where sample_id in (select unnest($rows::ubigint[])) and pixel_sha256 is not null
