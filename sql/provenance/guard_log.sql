-- One row per check of a generated image that the guard logged: what it decided, by what, and what became of the image.
-- Logged by `raisonne check --log` and `raisonne serve --log`. The guard answers from a bundle, and aligns pixels of what the bundle has small copies of; where
-- the image is among the generations too, the warehouse's own verdict stands beside its.
-- unique: check_id
-- not_null: check_id, checked_at, bundle, decision, verdict, reason, latency_ms
-- assert: decision in ('allow', 'block', 'unavailable')
-- assert: verdict in ('exact', 'copy', 'partial_copy', 'altered_copy', 'similar', 'no_match_found', 'not_searched')
-- column check_id: name of the check, unique
-- column decision: allow, block, or unavailable where the guard could not search
-- column verdict: exact; copy, partial_copy or altered_copy where the bundle has what pixels need to confirm one; similar, no_match_found or not_searched
-- column threshold: the limit that the value was held against
-- column p_value: how often a picture that is not in the training set has a best match this strong; NULL unless every view was embedded in full
-- column reason: the decision in words
-- column pixel_sha256: of all that the image shows; NULL where it could not be read
-- column cluster_ids: all likely sources, as the bundle had them
-- column latency_ms: milliseconds that the check took
-- column checked_at: UTC
-- column bundle: version of the warehouse that the bundle is of, and the bundle's digest
-- column overrides: digest of the curators' list in force; empty without one
-- column method: what decided: sha256, pixels, pdq, embedding, p_value or override; NULL where nothing spoke for a block
-- column value: what was measured, in the unit of the threshold: bits for pdq, cosine for embedding
-- column sha256: of the image's file; NULL where it was given as pixels, or could not be read
-- column cluster_id: of the likely source, as the bundle had it; NULL without one
-- column duplicate_count: training rows that show the likely source now
-- column override: the curator's entry that decided
-- column generation_id: the first generation with the same file or pixels, if there is one
-- column decision_made: block or allow, where it was decided of the image; `raisonne export decisions` writes the guard's list
-- column decided_by: who decided so
-- column warehouse_verdict: what the warehouse says of that generation now
with pixels as (
    select pixel_sha256, min(generation_id) as generation_id
    from lance_generation_fingerprints
    where pixel_sha256 is not null
    group by pixel_sha256
)

select
    checks.check_id,
    checks.checked_at,
    checks.bundle,
    checks.overrides,
    checks.decision,
    checks.verdict,
    checks.method,
    checks.value,
    checks.threshold,
    checks.p_value,
    checks.reason,
    checks.override,
    checks.sha256,
    checks.pixel_sha256,
    checks.cluster_ids[1] as cluster_id,
    pictures.copies as duplicate_count,
    checks.cluster_ids,
    pixels.generation_id,
    generations.verdict as warehouse_verdict,
    decided.answer as decision_made,
    decided.decided_by,
    checks.latency_ms
from lance_guard_checks as checks
left join duplicates.pictures as pictures on pictures.cluster_id = checks.cluster_ids[1]
left join pixels on pixels.pixel_sha256 = checks.pixel_sha256
left join provenance.generations as generations on generations.generation_id = pixels.generation_id
left join catalog.decisions as decided
    on decided.picture_a = checks.pixel_sha256
    and decided.kind = 'guard_block'
    and decided.standing = 'in force'
    and decided.answer <> 'unsure'
order by checks.checked_at, checks.check_id
