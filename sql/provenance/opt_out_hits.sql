-- One row per training row and entry of an opt-out list that names its picture by likeness: a PDQ hash within bits, or a
-- picture of a folder, whole, edited or in part. Each entry counts, not only the one for which provenance.recalled has the row.
-- unique: sample_id, list, kind, value
-- not_null: sample_id, list, kind, value, method, dataset
-- assert: kind in ('pdq', 'picture')
-- assert: method in ('sha256', 'pixels', 'copy', 'partial_copy', 'altered_copy', 'duplicate', 'pdq')
-- assert: distance is not null or method in ('copy', 'partial_copy', 'altered_copy', 'duplicate')
-- assert: method not in ('sha256', 'pixels') or distance = 0
-- assert: laid_over is not null or method in ('sha256', 'pixels', 'pdq')
-- assert: copy_score between -1 and 1
-- column sample_id: the training row
-- column list: name of the list in the settings
-- column kind: what the list names it by: pdq or picture
-- column value: the hash as the list has it, or the file below the folder
-- column method: what says that they show one picture: sha256 (same bytes), pixels (same decoded pixels); copy, partial_copy and altered_copy, as a verdict on a generation; duplicate (`duplicates.pairs` ties it to a row of which one of these holds); pdq (perceptual hash within the bits, in any of eight rotations and reflections, which no pixels confirmed)
-- column distance: differing bits of 256 between the two hashes; 0 for equal bytes and pixels; NULL where hashes are farther apart than the list admits, or say nothing
-- column laid_over: the row whose picture was laid over the listed one, which the measures below are of; NULL where none was
-- column copy_score: best cosine of the copy embeddings over the searched parts of the listed picture
-- column aligned_distance: root mean square of aligned pixels in [0, 1]
-- column inliers: matched local features that agree on one geometry
-- column overlap_listed: share of the listed picture that the shared part covers
-- column overlap_training: share of the training picture that it covers
-- column dataset: of the row
-- column url: of the row, as the metadata states it
-- column url_host: host of the URL

select
    hits.sample_id,
    hits.list,
    hits.kind,
    hits.value,
    hits.method,
    hits.distance,
    hits.laid_over,
    bounded_cosine(hits.copy_score) as copy_score,
    hits.aligned_distance,
    hits.inliers,
    hits.overlap_listed,
    hits.overlap_training,
    samples.dataset,
    samples.url,
    samples.url_host
from lance_opt_out_hits as hits
join catalog.samples using (sample_id)
order by hits.list, hits.value, hits.distance, hits.sample_id
