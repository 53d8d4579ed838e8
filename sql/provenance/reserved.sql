-- One row per generation and likely source that it copies, of which the file of some training row says no: whose is it,
-- and how is it said? A claim of the file: nobody checked who wrote it.
-- unique: generation_id, cluster_id
-- not_null: generation_id, rank, verdict, cluster_id, sample_id, reserved_sample_id, reserved_by, reason
-- not_null: reserved_rows, silent_rows, recalled_rows
-- assert: confirms_copy(verdict)
-- column generation_id: of catalog.generations
-- column rank: of the source, in provenance.sources
-- column verdict: how sure it is that the generation holds the picture: exact, copy, partial_copy or altered_copy
-- column cluster_id: the picture
-- column sample_id: the training row of it that fits best
-- column reserved_sample_id: the first training row of which is said that it is reserved
-- column reserved_by: by what, of any of the rows that show the picture: plus, c2pa, headers
-- column reason: what is said of the reserved row
-- column reserved_rows: rows that show the picture and are reserved
-- column silent_rows: rows that show it and of which nothing of the kind is said
-- column recalled_rows: rows that show it and were withdrawn; the model was trained on them all the same
-- column creator: who made it, as the reserved row's file says
-- column credit: whom to credit, likewise
-- column notice: copyright notice, likewise
-- column terms: terms of use, likewise
-- column license_url: address of the licence, likewise; never opened
-- column web_statement: address of a page on rights, likewise; never opened
-- column url: of the reserved row, as the metadata states it

select
    sources.generation_id,
    sources.rank,
    sources.verdict,
    sources.cluster_id,
    sources.sample_id,
    reserved.sample_id as reserved_sample_id,
    reserved.reserved_by,
    reserved.reason,
    reserved.reserved_rows,
    reserved.silent_rows,
    reserved.recalled_rows,
    rights.creator,
    rights.credit,
    rights.notice,
    rights.terms,
    rights.license_url,
    rights.web_statement,
    samples.url
from provenance.sources
join duplicates.reserved using (cluster_id)
join catalog.rights on rights.sample_id = reserved.sample_id
join catalog.samples on samples.sample_id = reserved.sample_id
where sources.verdict <> 'similar'
order by sources.generation_id, sources.rank
