-- One row per training row with a usable picture that is not recalled: its concept, and how redundant it is by meaning.
-- Empty unless `encoders.semantic` is set. The policies `semdedup` remove the most redundant rows.
-- unique: sample_id
-- not_null: sample_id, concept_id, similarity
-- assert: similarity between -1 and 1
-- assert: redundancy between -1 and 1
-- column sample_id: the training row
-- column concept_id: of provenance.concepts
-- column similarity: cosine of the picture with the direction of the concept
-- column redundancy: greatest cosine with a picture of the concept nearer its edge, as SemDeDup (Abbas et al. 2023) has
--     it; 1 for a row whose pixels an earlier one shows; NULL for the picture at the edge

select
    images.sample_id,
    members.concept_id,
    bounded_cosine(members.similarity) as similarity,
    if(
        row_number() over (partition by images.pixel_sha256 order by images.sample_id) = 1,
        bounded_cosine(members.redundancy),
        1
    ) as redundancy
from lance_concept_members as members
join fingerprints.images as shown on shown.sample_id = members.sample_id
join fingerprints.images as images on images.pixel_sha256 = shown.pixel_sha256
join catalog.samples on samples.sample_id = images.sample_id and not samples.recalled
where images.status <> 'failed'
