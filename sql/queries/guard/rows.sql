-- One row per usable training picture: its cluster, digests and perceptual hash. Fills the temporary table guard_rows.
-- Reads the temporary table guard_members. Recalled rows are included: the model was trained on them.
select
    images.sample_id,
    coalesce(members.representative_id, images.sample_id) as cluster_id,
    samples.recalled,
    unhex(images.sha256) as sha256,
    unhex(images.pixel_sha256) as pixel_sha256,
    if(images.status = 'ok', unhex(images.pdq), null) as pdq
from fingerprints.images as images
join catalog.samples as samples using (sample_id)
left join guard_members as members using (sample_id)
where images.status <> 'failed'
