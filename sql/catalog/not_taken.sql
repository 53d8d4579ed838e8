-- One row per place and reason for which files or members were found there and did not become rows.
-- With the rows of catalog.samples and catalog.generations, and `unlisted` of catalog.shards, it accounts for all that was found.
-- unique: dataset, source, part, place, reason
-- not_null: part, place, reason, files, examples
-- assert: part in ('landing', 'dump', 'second dump', 'generations')
-- assert: (dataset is null) <> (source is null)
-- assert: files > 0
-- assert: len(examples) between 1 and 5
-- column dataset: of the settings; NULL for generations
-- column source: of generations, as the settings name it; NULL for datasets
-- column part: landing (what `metadata` and `images` find), dump (the dump of a shard), second dump (of `redownload`) or generations
-- column place: tar, parquet or folder in which they were found
-- column reason: why they did not become rows, in plain words
-- column files: how many files or members
-- column examples: the first of their names

select
    dataset,
    source,
    split_part(owner, '/', 1) as part,
    place,
    reason,
    sum(files)::bigint as files,
    flatten(list(examples order by owner))[:5] as examples
from lance_not_taken
where files > 0
group by all
order by all
