-- One row, or none: what was measured between the generation $generation and the training row $row, and the generation.
select
    evidence.pdq_distance, evidence.copy_score, evidence.aligned_distance, evidence.inliers, evidence.mirrored,
    evidence.altered_by, evidence.homography, evidence.region, evidence.p_value, generations.path, generations.prompt,
    generations.model
from catalog.generations
left join matches.evidence on evidence.generation_id = generations.generation_id and evidence.sample_id = $row
where generations.generation_id = $generation
