-- One row per dataset: do the counts add up? Every training row is recalled, unusable, unique or clustered.
-- unique: dataset
-- not_null: dataset, rows, recalled_rows, unusable_rows, unique_rows, clustered_rows, member_rows
-- not_null: all_counted, all_members, farther_rows, methods
-- assert: rows = unique_rows + clustered_rows + recalled_rows + unusable_rows
-- assert: clustered_rows = member_rows
-- assert: all_counted = all_members
-- assert: farther_rows = 0
-- assert: farthest_aligned is null or farthest_aligned <= aligned_limit
-- assert: farthest_pdq is null or farthest_pdq <= pdq_limit
-- column dataset: name of the dataset in the settings
-- column rows: training rows of the dataset
-- column pdq_limit: the setting `thresholds.pdq`, which farthest_pdq must not exceed
-- column aligned_limit: the limit that farthest_aligned must not exceed
-- column recalled_rows: rows that an opt-out list withdrew, with a usable picture or without
-- column unusable_rows: rows whose picture is missing or could not be read
-- column unique_rows: rows whose picture no other row shows
-- column clustered_rows: rows in a cluster of at least two, found from the rows
-- column member_rows: the same, found from the clusters
-- column all_counted: sum of duplicate_count over the counts of all datasets
-- column all_members: rows of duplicates.clusters, which it must be
-- column farther_rows: members whose hash differs from their representative's in more bits than their cluster states
-- column farthest_pdq: most bits between a member that its hash confirms and its representative
-- column farthest_aligned: greatest distance of aligned pixels, of the members that these confirm
-- column methods: for each method of finding copies whether it finds all, or what recall was measured

with measured as (
    select
        images.dataset,
        clusters.method,
        clusters.distance_to_representative,
        clusters.aligned_distance_to_representative,
        if(images.pdq = heads.pdq, 0, bit_count(xor(unhex(images.pdq)::bit, unhex(heads.pdq)::bit))::int) as bits
    from duplicates.clusters
    join fingerprints.images using (sample_id)
    join fingerprints.images as heads on heads.sample_id = clusters.representative_id
),

members as (
    select
        dataset,
        count(*) as member_rows,
        count(*) filter (where bits > distance_to_representative) as farther_rows,
        max(distance_to_representative) filter (where method = 'pdq') as farthest_pdq,
        max(aligned_distance_to_representative) filter (where method = 'aligned') as farthest_aligned
    from measured
    group by dataset
),

found as (
    select
        samples.dataset,
        count(*) as rows,
        count(*) filter (where samples.recalled) as recalled_rows,
        count(*) filter (where not samples.recalled and coalesce(images.status, 'failed') = 'failed') as unusable_rows,
        count(*) filter (where not samples.recalled and images.status <> 'failed' and clusters.sample_id is null)
            as unique_rows,
        count(*) filter (where clusters.sample_id is not null) as clustered_rows
    from catalog.samples
    left join fingerprints.images using (sample_id)
    left join duplicates.clusters using (sample_id)
    group by samples.dataset
),

whole as (
    select
        (select coalesce(sum(duplicate_count), 0)::bigint from duplicates.counts) as all_counted,
        (select count(*) from duplicates.clusters) as all_members,
        (
            select list({
                'method': method, 'computed': computed, 'exact': exact, 'threshold': threshold,
                'recall': recall, 'recall_low': recall_low, 'recall_high': recall_high
            })
            from duplicates.methods
        ) as methods
)

select
    found.dataset,
    found.rows,
    found.recalled_rows,
    found.unusable_rows,
    found.unique_rows,
    found.clustered_rows,
    coalesce(members.member_rows, 0) as member_rows,
    whole.all_counted,
    whole.all_members,
    coalesce(members.farther_rows, 0) as farther_rows,
    members.farthest_pdq,
    settings.pdq as pdq_limit,
    members.farthest_aligned,
    settings.aligned_distance as aligned_limit,
    whole.methods
from found
cross join whole
cross join settings
left join members using (dataset)
order by found.dataset
