-- One row per published version, this one last: what was it made of?
-- unique: version
-- not_null: version, published_at, lance_versions, encoders, settings_hash, recipe
-- column version: number in the file's name
-- column published_at: UTC
-- column lance_versions: version of each fact table it was derived from; tagged in Lance as warehouse-VERSION while the file is kept
-- column encoders: identities of the encoders whose vectors were compared
-- column settings_hash: of every setting a number can depend on
-- column recipe: of all inputs, settings and SQL; an equal recipe is not published again
-- column run_id: the Dagster run that published it

select * from previous_versions
union all by name
select * from this_version
order by version
