-- One row per generation and training row that it copies, confirmed by pixels, with the measures of the literature.
-- Altered copies, which structure confirms and pixels do not, are left out: these measures are of pixels.
-- Generations that are flat (status low_quality), such as a safety checker's black image, are left out.
-- The distances are unaligned, as the papers define them: a crop or a mirrored copy is confirmed, and far.
-- unique: generation_id, sample_id
-- not_null: generation_id, sample_id, verdict, cluster_id, delta, alpha, duplicate_count, recalled_count
-- assert: verdict in ('exact', 'copy', 'partial_copy')
-- assert: (extracted is null) = (tile_l2 is null)
-- assert: extracted = (tile_l2 <= delta)
-- assert: l2 is null or l2 <= tile_l2 + 1e-9
-- assert: tile_l2 is null or tile_l2 between 0 and 1
-- assert: eidetic_k is null or eidetic_k >= 1
-- assert: (eidetic_k is null) = (eidetic_k_is_bound is null)
-- column generation_id: the generation
-- column sample_id: the training row that it copies
-- column verdict: exact, copy or partial_copy, as in matches.evidence
-- column cluster_id: the cluster of the training row; its own id where no other row shows the picture
-- column l2: root mean square of pixels in [0, 1], both pictures squeezed into 512 x 512
-- column tile_l2: the largest l2 of the 16 corresponding tiles of 128 x 128; NULL where a picture could not be read
-- column delta: tile_l2 up to which the source is extracted, and rows count in eidetic_k
-- column extracted: (l2, delta)-extraction (Carlini et al. 2023, definition 1)
-- column eidetic_k: training rows within delta of the source (definition 2), recalled ones too, of those of its cluster
-- column eidetic_k_is_bound: whether more may be: pictures of the cluster beyond `memorization.eidetic_pictures`, or unread
-- column small_image_ratio: l2 at 32 x 32 over alpha times the mean l2 to the neighbours (section 5.1); low is memorized
-- column neighbours: different training pictures of that mean: the nearest to the generation by copy embedding
-- column alpha: of that ratio
-- column template_mse: mean squared error inside the region that the generation shares, in place (Webster 2023)
-- column template_share: that region's share of the picture
-- column duplicate_count: training rows that show the source and are not recalled
-- column recalled_count: rows that show it and were recalled; the model was trained on them all the same
-- column failure: what could not be measured and why; it is tried again

with recalled_of as (
    select coalesce(members.representative_id, recalled.sample_id) as cluster_id, count(*) as recalled_count
    from lance_recalled_rows as recalled
    left join lance_cluster_members as members using (sample_id)
    group by all
)

select
    evidence.generation_id,
    evidence.sample_id,
    coalesce(members.representative_id, evidence.sample_id) as cluster_id,
    evidence.verdict,
    pairs.l2,
    pairs.tile_l2,
    settings.memorization_delta as delta,
    pairs.tile_l2 <= settings.memorization_delta as extracted,
    counts.rows as eidetic_k,
    counts.compared < counts.pictures as eidetic_k_is_bound,
    pairs.small_image_ratio,
    pairs.neighbours,
    settings.memorization_alpha as alpha,
    pairs.template_mse,
    pairs.template_share,
    coalesce(pictures.copies, 0) as duplicate_count,
    coalesce(recalled_of.recalled_count, 0) as recalled_count,
    nullif(concat_ws('; ', pairs.failure, counts.failure), '') as failure
from matches.evidence
join catalog.generations on generations.generation_id = evidence.generation_id and generations.status = 'ok'
left join lance_memorized_pairs as pairs
    on pairs.generation_id = evidence.generation_id and pairs.sample_id = evidence.sample_id
left join lance_eidetic_counts as counts on counts.sample_id = evidence.sample_id
left join lance_cluster_members as members on members.sample_id = evidence.sample_id
left join duplicates.pictures on pictures.cluster_id = coalesce(members.representative_id, evidence.sample_id)
left join recalled_of on recalled_of.cluster_id = coalesce(members.representative_id, evidence.sample_id)
cross join settings
where evidence.verdict in ('exact', 'copy', 'partial_copy')
    and evidence.measured_verdict = evidence.verdict  -- of a copy that only a decision confirms nothing was measured
