-- One row per picture that recurs, most repeated first: what a curator reads before removing copies.
-- grain: cluster
-- unique: cluster_id
-- not_null: cluster_id, representative_id, duplicate_count, hosts, licenses, captions, unsafe
-- assert: min_similarity between -1 and 1
-- column hosts: up to 20 hosts, the most frequent first
-- column captions: up to 5 captions, the most frequent first
-- column unsafe: some row is flagged by the dataset's own classifier, see catalog.samples
-- column removable: rows that go if one copy is kept
-- column cluster_id: of the rows that show the picture, see duplicates.counts
-- column representative_id: the row whose picture stands for the others, the largest of them
-- column duplicate_count: training rows that show the picture, the representative included
-- column recalled_count: rows of the same picture that an opt-out list withdrew, on top of these
-- column exact_count: of duplicate_count, rows with the representative's bytes, itself included
-- column near_count: of duplicate_count, rows with other bytes: re-encoded, resized, cropped, marked
-- column distinct_urls: different URLs of these rows
-- column distinct_captions: different captions of these rows
-- column distinct_hosts: different hosts of these rows
-- column distinct_licenses: different licences stated; rows that state none are not counted
-- column max_distance_to_representative: PDQ bits of 256; unrelated pictures differ in about 128, as do crops that pixels confirm
-- column distinct_pictures: pictures that differ in some pixel; NULL where not computed
-- column min_similarity: least cosine between the copy embeddings of any two distinct_pictures; NULL where not computed
-- column min_similarity_exact: false where min_similarity is a lower bound, as the cluster is too large to compare all
-- column automatic_count: what duplicate_count would be without what people decided
-- column decided_by: who decided something that changed the cluster; NULL where nobody did
-- column licenses: the different licences stated, "unknown" among them where a row states none

with members as (
    select clusters.cluster_id, samples.*
    from duplicates.clusters
    join catalog.samples using (sample_id)
),

-- ranked, then listed: min(…, 20) holds room for 20 of each of millions of clusters, and does not spill
hosts as (
    select cluster_id, list(url_host order by n desc, url_host) as hosts
    from (
        select cluster_id, url_host, count(*) as n
        from members
        where url_host is not null
        group by cluster_id, url_host
        qualify row_number() over (partition by cluster_id order by count(*) desc, url_host) <= 20
    )
    group by cluster_id
),

captions as (
    select cluster_id, list(caption order by n desc, caption) as captions
    from (
        select cluster_id, caption, count(*) as n
        from members
        where caption is not null
        group by cluster_id, caption
        qualify row_number() over (partition by cluster_id order by count(*) desc, caption) <= 5
    )
    group by cluster_id
),

flags as (
    select cluster_id, bool_or(unsafe) as unsafe
    from members
    group by cluster_id
)

select
    counts.*,
    counts.duplicate_count - 1 as removable,
    coalesce(hosts.hosts, []) as hosts,
    coalesce(captions.captions, []) as captions,
    flags.unsafe
from duplicates.counts
left join hosts using (cluster_id)
left join captions using (cluster_id)
join flags using (cluster_id)
order by counts.duplicate_count desc, counts.cluster_id
