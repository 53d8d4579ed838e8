-- One row per generation and training row that were compared pixel by pixel, with every measurement and its verdict.
-- unique: generation_id, sample_id
-- not_null: generation_id, sample_id
-- assert: (copy_score is null) = (p_value is null) and (copy_score is null) = (normalised_score is null)
-- assert: p_value is null or p_value > 0 and p_value <= 1
-- assert: verdict is not distinct from measured_verdict or decided_by is not null
-- assert: verdict is null or verdict in ('exact', 'copy', 'partial_copy', 'altered_copy', 'similar')
-- assert: (verdict is not distinct from 'altered_copy') = (altered_by is not null)
-- assert: copy_score between -1 and 1
-- column generation_id: the generation
-- column sample_id: the training row that it was compared with
-- column mirrored: whether the training picture was laid on mirrored
-- column overlap_generation: share of the generation that the shared part covers
-- column overlap_source: share of the training picture that the shared part covers
-- column verdict: exact (same bytes or pixels), copy (the whole picture, confirmed by aligned pixels), partial_copy (a region, so confirmed), altered_copy (structure agrees after a smooth, bounded change of place, colour or light, or all that is not covered lies exactly in place), similar (close in embedding, not confirmed); NULL where nothing holds
-- column measured_verdict: what verdict would be without decisions
-- column decision_id: which one that is; NULL where nobody decided
-- column decision: copy or not_a_copy, where it was decided of the generation and the cluster of the training row
-- column decided_by: who decided so
-- column copy_score: best cosine of the copy embeddings over the searched parts of the generation; NULL, and with it p_value, where encoders.copy is none
-- column normalised_score: copy_score less the mean of the generation's 3 best scores against sampled training pictures of other clusters
-- column p_value: how often a picture that is not in the training set has a best match this strong, by normalised_score; see matches.calibration
-- column pdq_distance: bits of 256, the least over 8 rotations and reflections; NULL where a hash says nothing
-- column aligned_distance: root mean square of aligned pixels in [0, 1]
-- column inliers: matched local features that agree on one geometry; of an altered copy, within the largest displacement
-- column geometry: which one: equal, similarity, affine, homography, or placed edge on edge where features are few
-- column cells: cells of 8 pixels (at a long side of 320) with structure in the region, its edge left out
-- column agreement: share of them that agree; of an altered copy this and the measures of cells and pixels below are those by which it was refused as a copy
-- column solid: agreeing cells of the largest piece that agrees nearly everywhere
-- column moved: share of what disagrees outside the region that lies elsewhere in the other picture, as in two photographs of one scene: from 0.1 on no part is confirmed; NULL unless a part agrees
-- column aligned_tile_l2: largest l2 of 4 x 4 tiles of the region, aligned
-- column masked_mse: mean squared difference over the cells that agree
-- column structural_similarity: mean SSIM over the region (Wang et al. 2004)
-- column altered_by: what was changed in an altered copy: displaced (moved smoothly), recoloured, relit (unevenly), covered (by something, in part or thinly all over), redrawn (its structure is kept, its detail is not); empty where each is small; NULL for any other verdict
-- column alteration: what was measured where pixels refuse: shares of the cells whose structure agrees after a smooth displacement (agreement, closely) and without one (in_place, in_place_closely), of the clearest features that lie in place to half a pixel (exact_share, of exact_matches), and of the picture that is as it was (kept); displacement and its derivative (roughness), as shares of the long side; changes of colour and light
-- column region: the shared part on the generation, as fractions from its top left
-- column source_region: the same part on the training picture
-- column homography: how the training picture lies on the generation: 9 numbers, row by row, that map fractions from its top left to fractions of the generation
-- column thresholds: of the settings, by which the verdict was reached
-- column failure: why the pictures could not be compared

with null_pictures as (
    select score - background as score
    from lance_calibration_pictures
    where population = 'not_trained'
),

as_strong as (
    select score, count(*) over (order by score desc range unbounded preceding) as pictures
    from null_pictures
),

fitted as (
    select count(null_pictures.score) as pictures, any_value(fits.threshold) as threshold,
        any_value(fits.shape) as shape, any_value(fits.scale) as scale
    from (select * from lance_null_fits where measure = 'normalised_score') as fits
    full join null_pictures on true
),

compared as (
    select
        found.*,
        -- what a generation shares with many pictures is no sign of a copy: the mean of its 3 best scores against other
        -- sampled clusters is taken off (Douze et al. 2021)
        found.copy_score - coalesce(list_avg(list_transform(
            list_filter(
                list_zip(background.background_ids, background.background_scores),
                lambda each: each[1] <> coalesce(members.representative_id, found.sample_id)
            )[1:3],
            lambda each: each[2]
        )), 0) as normalised_score
    from lance_match_evidence as found
    semi join fingerprints.images as images using (sample_id)
    semi join catalog.generations as generations using (generation_id)
    left join lance_generation_backgrounds as background using (generation_id)
    left join lance_cluster_members as members using (sample_id)
),

scored as (
    select
        compared.*,
        if(compared.copy_score is null, null, tail_p_value(
            compared.normalised_score,
            coalesce((
                select max(pictures) from as_strong
                where as_strong.score >= least(compared.normalised_score, coalesce(fitted.threshold, 'infinity'))
            ), 0),
            fitted.pictures,
            fitted.threshold,
            fitted.shape,
            fitted.scale
        )) as p_value
    from compared
    cross join fitted
),

decided as (
    select
        generations.generation_id,
        coalesce(members.representative_id, images.sample_id) as cluster_id,
        decisions.decision_id,
        decisions.answer,
        decisions.decided_by
    from catalog.decisions
    join catalog.generations on generations.pixel_sha256 = decisions.picture_a
    join fingerprints.images as images on images.pixel_sha256 = decisions.picture_b and images.status <> 'failed'
    left join lance_cluster_members as members on members.sample_id = images.sample_id
    where decisions.kind = 'case' and decisions.standing = 'in force' and decisions.answer in ('copy', 'not_a_copy')
    qualify row_number() over (
        partition by generations.generation_id, coalesce(members.representative_id, images.sample_id)
        order by decisions.decided_at desc, decisions.decision_id desc
    ) = 1
),

judged as (
    select
        scored.*,
        decided.answer as decision,
        decided.decision_id,
        decided.decided_by,
        case
            when same_bytes or same_pixels then 'exact'
            when confirmed and whole then 'copy'
            when confirmed then 'partial_copy'
            when altered then 'altered_copy'
            when copy_score >= settings.similar or pdq_distance <= settings.pdq then 'similar'
        end as measured_verdict
    from scored
    cross join settings
    left join lance_cluster_members as members using (sample_id)
    left join decided
        on decided.generation_id = scored.generation_id
        and decided.cluster_id = coalesce(members.representative_id, scored.sample_id)
)

select
    generation_id,
    sample_id,
    case
        when decision = 'not_a_copy' then null
        when decision = 'copy' and measured_verdict = 'similar' then 'copy'
        else measured_verdict
    end as verdict,
    measured_verdict,
    decision,
    decision_id,
    decided_by,
    bounded_cosine(copy_score) as copy_score,
    normalised_score,
    p_value,
    pdq_distance,
    judged.aligned_distance,
    judged.inliers,
    geometry,
    judged.cells,
    judged.agreement,
    judged.solid,
    judged.moved,
    aligned_tile_l2,
    judged.masked_mse,
    structural_similarity,
    case when measured_verdict = 'altered_copy' and decision is distinct from 'not_a_copy' then altered_by end as altered_by,
    if(in_place is null, null, {
        'agreement': judged.altered_agreement,
        'closely': altered_closely,
        'in_place': in_place,
        'in_place_closely': in_place_closely,
        'exact_share': exact_share,
        'exact_matches': exact_matches,
        'displacement': displacement,
        'roughness': roughness,
        'kept': kept,
        'colour_change': colour_change,
        'light_change': light_change
    }) as alteration,
    mirrored,
    overlap_generation,
    overlap_source,
    {'x': x, 'y': y, 'width': width, 'height': height} as region,
    if(source_x is null, null, {'x': source_x, 'y': source_y, 'width': source_width, 'height': source_height})
        as source_region,
    homography,
    {
        'pdq': settings.pdq,
        'similar': settings.similar,
        'structure': settings.structure,
        'likeness': settings.likeness,
        'gain': settings.gain,
        'colour': settings.colour,
        'inliers': settings.inliers,
        'inliers_part': settings.inliers_part,
        'cells': settings.cells,
        'cells_whole': settings.cells_whole,
        'agreement': settings.agreement,
        'agreement_whole': settings.agreement_whole,
        'agreement_unmatched': settings.agreement_unmatched,
        'aligned_distance': settings.aligned_distance,
        'solid': settings.solid,
        'solid_share': settings.solid_share,
        'masked_mse': settings.masked_mse,
        'larger_share': settings.larger_share,
        'smaller_share': settings.smaller_share,
        'whole_overlap': settings.whole_overlap,
        'altered_agreement': settings.altered_agreement,
        'altered_agreement_part': settings.altered_agreement_part,
        'altered_roughness': settings.altered_roughness,
        'altered_exact_share': settings.altered_exact_share
    } as thresholds,
    failure
from judged
cross join settings
