-- One row per generation and training picture that it resembles in meaning, the nearest first: not evidence of copying.
-- The semantic encoder finds what shows the same things, whoever made it; sources are in provenance.sources. Each
-- cluster of copies counts once, by its nearest picture. Empty unless `encoders.semantic` is set.
-- unique: generation_id, rank
-- unique: generation_id, sample_id
-- unique: generation_id, cluster_id
-- not_null: generation_id, rank, sample_id, cluster_id, score, percentile, duplicate_count, recalled
-- assert: score between -1.001 and 1.001
-- assert: percentile between 0 and 1
-- assert: score between -1 and 1
-- column generation_id: of catalog.generations
-- column rank: 1 is the nearest
-- column sample_id: the training row, of rows with equal pixels the first
-- column cluster_id: the cluster it belongs to; its own id where no other row shows the picture
-- column score: cosine of the two semantic embeddings; its scale is the encoder's own, so compare it by the percentile
-- column percentile: share of the generations whose own nearest picture is no nearer than this one
-- column verdict: what provenance.sources says of the same cluster; NULL where it is no likely source
-- column duplicate_count: training rows that show the picture and are not recalled; 0 where all of them are
-- column dataset: of the training row
-- column url: of the training row, as the metadata states it
-- column caption: of the training row, as the metadata states it
-- column license: as the row states it; NULL where it states none
-- column recalled: whether the row was recalled

with nearest as (
    select distinct score, count(*) over (order by score range unbounded preceding) as no_nearer
    from (select max(score) as score from lance_related_pictures group by generation_id)
),

total as (
    select count(distinct generation_id) as generations
    from lance_related_pictures
),

placed as (
    select
        related.generation_id,
        row_number() over (
            partition by related.generation_id order by related.score desc, related.sample_id
        ) as rank,
        related.sample_id,
        coalesce(members.representative_id, related.sample_id) as cluster_id,
        related.score
    from lance_related_pictures as related
    left join lance_cluster_members as members using (sample_id)
)

select
    placed.generation_id,
    placed.rank,
    placed.sample_id,
    placed.cluster_id,
    bounded_cosine(placed.score) as score,
    coalesce(nearest.no_nearer, 0) / total.generations::double as percentile,
    sources.verdict,
    coalesce(pictures.copies, 0) as duplicate_count,
    samples.dataset,
    samples.url,
    samples.caption,
    samples.license,
    samples.recalled
from placed
cross join total
asof left join nearest on placed.score >= nearest.score
left join provenance.sources
    on sources.generation_id = placed.generation_id and sources.cluster_id = placed.cluster_id
left join duplicates.pictures on pictures.cluster_id = placed.cluster_id
join catalog.samples on samples.sample_id = placed.sample_id
order by placed.generation_id, placed.rank
