-- One row per cluster: how often was this picture trained on, and how differently was it presented?
-- Recalled rows count in none of it but recalled_count.
-- grain: cluster
-- unique: cluster_id
-- not_null: cluster_id, representative_id, duplicate_count, recalled_count, exact_count, near_count
-- not_null: distinct_urls, distinct_captions, distinct_hosts, distinct_licenses
-- assert: duplicate_count = exact_count + near_count
-- assert: duplicate_count >= 2
-- assert: decided_by is not null or automatic_count = duplicate_count
-- assert: min_similarity is null or (min_similarity between -1.001 and 1.001)
-- assert: min_similarity between -1 and 1
-- column cluster_id: the cluster: the sample_id of its representative
-- column representative_id: the row that stands for the cluster
-- column distinct_urls: different URLs among the rows
-- column distinct_captions: different captions, as written
-- column distinct_hosts: different hosts of the URLs
-- column duplicate_count: training rows in the cluster, the representative included
-- column recalled_count: rows of the same picture that an opt-out list withdrew, on top of these
-- column exact_count: of these, rows with the representative's bytes, itself included
-- column near_count: rows with other bytes: re-encoded, resized, cropped, marked
-- column distinct_licenses: different licences stated; rows that state none are not counted
-- column max_distance_to_representative: PDQ bits of 256
-- column distinct_pictures: pictures that differ in some pixel, of the rows in duplicate_count; NULL where not computed
-- column min_similarity: least cosine between the copy embeddings of any two distinct_pictures; NULL where not computed
-- column min_similarity_exact: false where min_similarity is a lower bound, as the cluster is too large to compare all
-- column automatic_count: what duplicate_count would be without decisions: rows of the representative's picture then
-- column decided_by: who decided something that changed the cluster; NULL where nobody did
-- column licenses: the different licences stated, "unknown" among them where a row states none

with recalled as (
    select members.representative_id, count(*) as recalled_count
    from lance_cluster_members as members
    semi join lance_recalled_rows as recalled using (sample_id)
    semi join fingerprints.images as images using (sample_id)
    group by members.representative_id
),

-- rows without a row in automatic_representative_id are of clusters that no decision is about
automatic as (
    select representatives.representative_id, count(*) as rows
    from lance_cluster_members as members
    semi join fingerprints.images as images using (sample_id)
    anti join lance_recalled_rows as recalled using (sample_id)
    join (
        select sample_id as representative_id, automatic_representative_id
        from lance_cluster_members
        where sample_id = representative_id and automatic_representative_id is not null
    ) as representatives
        on representatives.automatic_representative_id = members.automatic_representative_id
    group by representatives.representative_id
),

counted as (
    select
        clusters.cluster_id,
        clusters.representative_id,
        count(*) as duplicate_count,
        count(*) filter (where images.sha256 = heads.sha256) as exact_count,
        count(*) filter (where images.sha256 <> heads.sha256) as near_count,
        count(distinct samples.url) as distinct_urls,
        count(distinct samples.caption) as distinct_captions,
        count(distinct samples.url_host) as distinct_hosts,
        count(distinct samples.license) as distinct_licenses,
        max(clusters.distance_to_representative) as max_distance_to_representative,
        min(clusters.decided_by) as decided_by,
        list(distinct coalesce(samples.license, 'unknown') order by coalesce(samples.license, 'unknown')) as licenses
    from duplicates.clusters
    join catalog.samples using (sample_id)
    join fingerprints.images using (sample_id)
    join fingerprints.images as heads on heads.sample_id = clusters.representative_id
    group by all
)

select
    counted.cluster_id,
    counted.representative_id,
    counted.duplicate_count,
    coalesce(recalled.recalled_count, 0) as recalled_count,
    counted.exact_count,
    counted.near_count,
    counted.distinct_urls,
    counted.distinct_captions,
    counted.distinct_hosts,
    counted.distinct_licenses,
    counted.max_distance_to_representative,
    similarities.distinct_pictures,
    bounded_cosine(similarities.min_similarity) as min_similarity,
    similarities.min_similarity_exact,
    case when counted.decided_by is null then counted.duplicate_count else coalesce(automatic.rows, 1) end as automatic_count,
    counted.decided_by,
    counted.licenses
from counted
left join automatic on automatic.representative_id = counted.representative_id
left join recalled on recalled.representative_id = counted.representative_id
left join lance_cluster_similarities as similarities on similarities.representative_id = counted.representative_id
order by counted.duplicate_count desc, counted.cluster_id
