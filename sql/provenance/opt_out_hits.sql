-- One row per training row and entry of an opt-out list that names its picture by likeness: a PDQ hash within bits, or a
-- picture of a folder. Each entry counts, not only the one for which provenance.recalled has the row.
-- unique: sample_id, list, kind, value
-- not_null: sample_id, list, kind, value, method, distance, dataset
-- assert: kind in ('pdq', 'picture') and method in ('sha256', 'pixels', 'pdq')
-- assert: method = 'pdq' or distance = 0
-- column sample_id: the training row
-- column list: name of the list in the settings
-- column kind: what the list names it by: pdq or picture
-- column value: the hash as the list has it, or the file below the folder
-- column method: what says that they show one picture: sha256 (same bytes), pixels (same decoded pixels), pdq (perceptual hash, in any of eight rotations and reflections)
-- column distance: differing bits of 256 between the two hashes; 0 for equal bytes and pixels
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
    samples.dataset,
    samples.url,
    samples.url_host
from lance_opt_out_hits as hits
join catalog.samples using (sample_id)
order by hits.list, hits.value, hits.distance, hits.sample_id
