-- One row: rows of a bundle, those that can be compared, its clusters and different pictures, and all catalogue rows.
-- $hashes_only: whether the bundle has no embeddings, so that a row without a perceptual hash is not compared.
select
    count(*) as rows,
    count(*) filter (where not $hashes_only or pdq is not null) as compared,
    count(distinct cluster) as clusters,
    count(distinct pixel_sha256) as pictures,
    (select count(*) from catalog.samples) as searchable
from guard_rows
join guard_clusters using (cluster_id)
