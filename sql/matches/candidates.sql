-- One row per generation, training row and method that brings them together. Candidates, not yet sources.
-- unique: generation_id, sample_id, method
-- not_null: generation_id, sample_id, method, score, region
-- assert: method in ('sha256', 'pdq', 'embedding', 'prompt', 'prompt_normalised', 'prompt_semantic')
-- assert: score between 0 and 1
-- column generation_id: the generation
-- column sample_id: the training row that may be its source
-- column method: what brings them together: sha256, pdq, embedding, prompt, prompt_normalised or prompt_semantic
-- column score: from 0 to 1, higher is closer. sha256: 1; pdq: share of equal bits; embedding: cosine; prompt,
--     prompt_normalised: 1, the caption is the prompt; prompt_semantic: cosine of the two texts
-- column region: the part of the generation that was searched with, as fractions from its top left; the whole of it for a prompt

select
    found.generation_id,
    found.sample_id,
    found.method,
    greatest(0.0::double, least(1.0::double, found.score)) as score,
    {'x': found.x, 'y': found.y, 'width': found.width, 'height': found.height} as region
from lance_match_candidates as found
semi join fingerprints.images as images using (sample_id)
semi join catalog.generations as generations using (generation_id)
