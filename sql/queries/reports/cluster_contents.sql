-- One row per cluster of $chosen: a hash that is equal in two versions only if all is that cluster_summaries.sql and
-- cluster_members.sql say of the cluster, but for its place in $positions from $thumbnails on, where no entry says it.
-- Clusters of which that is not known are left out, and so are sources of generations, whose entries name the files of
-- their pages. $rules stands for all else that an entry depends on.
with listed as (
    select unnest($chosen::ubigint[]) as cluster_id, unnest($positions::bigint[]) as position
),
-- the rows of a shard are the same as long as they were made by one version, whose run tells it from one of its number
made as (
    select shards.shard_id,
        hash(list(format('{} {} {}', table_name, made_in, versions.run_id) order by table_name)) as made
    from warehouse.shards
    join warehouse.versions on versions.version = shards.made_in
    where shards.table_name in ('catalog.samples', 'fingerprints.images')
    group by shards.shard_id
    having count(versions.run_id) = 2
),
members as (
    select clusters.cluster_id, sum(hash(clusters, made.made)) as content
    from listed
    join duplicates.clusters using (cluster_id)
    left join made on made.shard_id = clusters.sample_id >> 26
    group by clusters.cluster_id
    having count(made.made) = count(*)
)
select listed.cluster_id, hash(
        $rules, case when listed.position < $thumbnails then listed.position end, repeated, members.content
    ) as content
from listed
join members using (cluster_id)
join reports.repeated_pictures as repeated using (cluster_id)
anti join provenance.sources as sources on sources.cluster_id = listed.cluster_id
