-- One row per generated image that was found, readable or not.
-- unique: generation_id
-- not_null: generation_id, source, path, status
-- assert: (status = 'failed') = (failure is not null)
-- column source: name of the source in the settings
-- column prompt: text that the image was generated from
-- column negative_prompt: text of what the image should not show
-- column sampler: sampler that the generator used
-- column steps: sampling steps
-- column width: pixels of the decoded image
-- column height: pixels of the decoded image
-- column generation_id: source and path below it; of one in a tar or parquet, with its name there
-- column path: the file; of one in a tar or parquet, that and its name there after `::`
-- column model: as the first that states it calls it, like prompt, negative_prompt, seed, sampler and steps
-- column seed: up to 20 digits
-- column described_by: what states these, the first believed first: tables by their path below the source, `.json` or `.txt` beside the picture, or a text within it, such as PNG parameters
-- column stated_otherwise: other values that these state, such as `PNG parameters: seed = 7`
-- column status: ok, low_quality (too flat for a perceptual hash) or failed
-- column failure: why the image could not be read
-- column note: what is odd about a file whose pixels are whole: broken or oversized metadata, a missing end, further frames
-- column sha256: of the file's bytes; NULL where it could not be read
-- column pixel_sha256: of all that the image shows; NULL where it could not be read
-- column unsearched: what the file may show that was not searched: further frames or pages, or pixels under its transparency

select
    generation_id,
    source,
    path,
    model,
    prompt,
    negative_prompt,
    seed_number as seed,
    sampler,
    steps,
    described_by,
    coalesce(stated_otherwise, []) as stated_otherwise,
    status,
    failure,
    note,
    unsearched,
    width,
    height,
    sha256,
    pixel_sha256
from lance_generation_fingerprints
