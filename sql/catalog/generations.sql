-- One row per generated image that was found, readable or not.
-- unique: generation_id
-- not_null: generation_id, source, path, status
-- assert: (status = 'failed') = (failure is not null)
-- column generation_id: source and path below it
-- column status: ok, low_quality (too flat for a perceptual hash) or failed
-- column failure: why the image could not be read
-- column note: what is odd about a file whose pixels are whole: broken or oversized metadata, a missing end, further frames
-- column unsearched: what the file may show that was not searched: further frames or pages, or pixels under its transparency

select generation_id, source, path, model, prompt, seed, status, failure, note, unsearched, width, height
from lance_generation_fingerprints
