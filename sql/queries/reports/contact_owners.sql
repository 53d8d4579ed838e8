-- Hosts, or where $by is creator those whom files name as creators, of pictures that some generation resembles: those with
-- most of them first, at most $most.
with shown as (
    select samples.url_host as host, rights.creator, sources.cluster_id, sources.verdict
    from provenance.sources
    left join duplicates.clusters as clusters on clusters.cluster_id = sources.cluster_id
    join catalog.samples as samples on samples.sample_id = coalesce(clusters.sample_id, sources.sample_id)
    left join catalog.rights as rights on rights.sample_id = samples.sample_id
)

select if($by = 'creator', creator, host) as owner, count(distinct cluster_id) as pictures,
    count(distinct cluster_id) filter (where verdict <> 'similar') as copied
from shown
where owner is not null
group by owner
order by copied desc, pictures desc, owner
limit $most
