-- One row: training rows that the search compared with, of all, by the fingerprint that finds the most edits.
select
    (select count(*) from catalog.samples) as searchable,
    (select count(*) from fingerprints.images where status <> 'failed') as searched
