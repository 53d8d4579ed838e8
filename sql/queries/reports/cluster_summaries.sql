-- One row per cluster of $chosen: what its rows share, with its place in $positions. In the order of the $files data
-- files, as cluster_members.sql.
with listed as (
    select unnest($chosen::ubigint[]) as cluster_id, unnest($positions::bigint[]) as position
),
shown as (
    select clusters.cluster_id, clusters.method, images.sha256, images.pixel_sha256,
        format('{} × {}', images.width, images.height) as size
    from listed
    join duplicates.clusters using (cluster_id)
    join fingerprints.images using (sample_id)
),
varied as (
    select cluster_id, count(distinct sha256) as files, count(distinct pixel_sha256) as pixels
    from shown
    group by all
),
sizes as (
    select cluster_id, count(*) as size_count, list([size, rows::varchar] order by rows desc, size)[:5] as sizes
    from (select cluster_id, size, count(*) as rows from shown group by all)
    group by cluster_id
),
methods as (
    select cluster_id, list([method, rows::varchar] order by rows desc, method) as methods
    from (select cluster_id, method, count(*) as rows from shown group by all)
    group by cluster_id
),
generated as (
    select cluster_id, count(*) as generation_count,
        list([generation_id, verdict]
            order by verdict_rank(verdict), q_value, generation_id)[:20] as generations
    from provenance.sources
    semi join listed using (cluster_id)
    group by cluster_id
)
select listed.position, repeated.*, varied.files, varied.pixels, sizes.size_count, sizes.sizes, methods.methods,
    coalesce(generated.generation_count, 0) as generation_count, coalesce(generated.generations, []) as generations
from listed
join reports.repeated_pictures as repeated using (cluster_id)
join varied using (cluster_id)
join sizes using (cluster_id)
join methods using (cluster_id)
left join generated using (cluster_id)
order by listed.cluster_id % $files, listed.position
