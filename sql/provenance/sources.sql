-- One row per generation and likely source: a training picture, however often it was trained on, with its evidence.
-- A source is likely, never certain: the nearest neighbour of a picture is not proof of where it came from.
-- unique: generation_id, rank
-- unique: generation_id, sample_id
-- not_null: generation_id, rank, sample_id, cluster_id, verdict, duplicate_count, recalled_count
-- not_null: recalled, reserved, reserved_rows
-- assert: reserved = (reserved_rows > 0)
-- assert: verdict in ('exact', 'copy', 'partial_copy', 'altered_copy', 'similar')
-- assert: verdict in ('exact', 'similar') or aligned_distance is not null or decided_by is not null
-- assert: prompt_match is null or prompt_match in ('exact', 'normalised', 'semantic')
-- assert: (p_value is null) = (copy_score is null) and (q_value is null) = (copy_score is null)
-- assert: duplicate_count + recalled_count >= 1
-- assert: not recalled or recalled_count >= 1
-- assert: copy_score between -1 and 1
-- column rank: 1 is the best supported source
-- column sample_id: the training row of the cluster that fits best; of rows with equal pixels, one that is not recalled
-- column cluster_id: the cluster it belongs to, recalled or not; its own id where no other row shows the picture
-- column verdict: exact, copy, partial_copy, altered_copy or similar
-- column measured_verdict: what verdict would be without decisions; sources that a decision takes away are in provenance.overruled
-- column decided_by: who decided that it is a copy; NULL where nobody did
-- column altered_by: what was changed in an altered copy, see matches.evidence; NULL for any other verdict
-- column p_value: how often a picture that is not in the training set has a best match this strong; NULL, like copy_score and q_value, where encoders.copy is none
-- column normalised_score: copy_score less what the generation shares with other training pictures; the p-value is of this
-- column q_value: false discovery rate among the searched generations when everything this strong is reported
-- column duplicate_count: training rows that show this picture and are not recalled; 0 where all of them are
-- column recalled_count: rows that show it and were recalled; the model was trained on them all the same
-- column recalled: whether the row itself was recalled
-- column prompt_match: how the generation's prompt meets a caption of any row that shows the picture, recalled rows too:
--     exact (byte for byte), normalised (see duplicates.caption_keys), semantic (near in meaning, where searched); NULL
--     where it meets none, or there is no prompt
-- column geometry: how the pictures are laid over each other: equal, similarity, affine, homography, placed edge on edge
-- column agreement: share of the region's cells with structure that agree; of an altered copy this and the measures that follow are those by which pixels refused it
-- column aligned_tile_l2: largest l2 of 4 x 4 tiles of the region, aligned
-- column masked_mse: mean squared difference over the cells that agree
-- column structural_similarity: mean SSIM over the region
-- column region: the shared part on the generation, as fractions from its top left
-- column source_region: the same part on the training picture
-- column homography: how the training picture lies on the generation, see matches.evidence
-- column generation_id: of catalog.generations
-- column copy_score: best cosine of the copy embeddings over the searched parts of the generation; 1 is the same
-- column pdq_distance: bits of 256 in which the perceptual hashes differ, the least over eight rotations and reflections
-- column aligned_distance: difference of the aligned pixels in the region, root mean square; 0 equal, 1 black on white
-- column inliers: local features that agree on one way of laying the source over the generation
-- column mirrored: whether the source is mirrored in the generation
-- column dataset: of the training row
-- column url: of the training row, as the metadata states it
-- column url_host: host of the URL
-- column caption: of the training row, as the metadata states it
-- column license: as the row states it; NULL where it states none, which is not to say free
-- column reserved: whether the file of any training row that shows the picture reserves it from training
-- column reserved_rows: how many of them do; the others say nothing, see duplicates.reserved
-- column creator: who made it, as the row's own file says, else that of the first row that shows the picture and says so

with twins as (
    select recalled.sample_id, min(images.sample_id) as live_id
    from lance_recalled_rows as recalled
    join fingerprints.images as own using (sample_id)
    join fingerprints.images as images using (pixel_sha256)
    join catalog.samples as samples on samples.sample_id = images.sample_id and not samples.recalled
    group by recalled.sample_id
),

placed as (
    select
        evidence.* replace (coalesce(twins.live_id, evidence.sample_id) as sample_id),
        coalesce(members.representative_id, evidence.sample_id) as cluster_id,
        verdict_rank(evidence.verdict) as strength
    from matches.evidence
    left join lance_cluster_members as members using (sample_id)
    left join twins using (sample_id)
    where evidence.verdict is not null
),

recalled_of as (
    select coalesce(members.representative_id, recalled.sample_id) as cluster_id, count(*) as recalled_count
    from lance_recalled_rows as recalled
    left join lance_cluster_members as members using (sample_id)
    group by all
),

-- every row under a prompt counts, whether or not it was a candidate; prompts are few, generations of one may be many
captioned as (
    select
        matched.prompt_key,
        coalesce(members.representative_id, matched.sample_id) as cluster_id,
        if(bool_or(matched.method = 'prompt'), 'exact', 'normalised') as prompt_match
    from lance_prompt_captions as matched
    left join lance_cluster_members as members using (sample_id)
    group by all
),

alike as (
    select distinct found.generation_id, coalesce(members.representative_id, found.sample_id) as cluster_id
    from lance_prompt_candidates as found
    left join lance_cluster_members as members using (sample_id)
    where found.method = 'prompt_semantic'
),

-- what the file of one copy says is said of the picture
creators as (
    select
        coalesce(members.representative_id, rights.sample_id) as cluster_id,
        min_by(rights.creator, rights.sample_id) as creator
    from catalog.rights
    left join lance_cluster_members as members using (sample_id)
    where rights.creator is not null
    group by all
),

best_of_cluster as (
    select *
    from placed
    qualify row_number() over (
        partition by generation_id, cluster_id order by strength, copy_score desc, sample_id
    ) = 1
)

select
    found.generation_id,
    row_number() over (
        partition by found.generation_id order by found.strength, found.copy_score desc, found.sample_id
    ) as rank,
    found.sample_id,
    found.cluster_id,
    found.verdict,
    found.measured_verdict,
    found.decided_by,
    found.p_value,
    if(found.p_value is null, null, (
        select coalesce(min(significance.q_value), 1)
        from matches.significance
        where significance.p_value >= found.p_value
    )) as q_value,
    coalesce(pictures.copies, 0) as duplicate_count,
    coalesce(recalled_of.recalled_count, 0) as recalled_count,
    found.copy_score,
    found.normalised_score,
    found.pdq_distance,
    found.aligned_distance,
    found.inliers,
    found.geometry,
    found.agreement,
    found.aligned_tile_l2,
    found.masked_mse,
    found.structural_similarity,
    found.altered_by,
    found.mirrored,
    found.region,
    found.source_region,
    found.homography,
    coalesce(captioned.prompt_match, if(alike.generation_id is null, null, 'semantic')) as prompt_match,
    samples.dataset,
    samples.url,
    samples.url_host,
    samples.caption,
    samples.license,
    samples.recalled,
    reserved.cluster_id is not null as reserved,
    coalesce(reserved.reserved_rows, 0) as reserved_rows,
    coalesce(rights.creator, creators.creator) as creator
from best_of_cluster as found
join catalog.samples using (sample_id)
join catalog.generations using (generation_id)
left join captioned on captioned.prompt_key = sha256(generations.prompt) and captioned.cluster_id = found.cluster_id
left join alike on alike.generation_id = found.generation_id and alike.cluster_id = found.cluster_id
left join duplicates.pictures on pictures.cluster_id = found.cluster_id
left join recalled_of on recalled_of.cluster_id = found.cluster_id
left join duplicates.reserved on reserved.cluster_id = found.cluster_id
left join catalog.rights on rights.sample_id = found.sample_id
left join creators on creators.cluster_id = found.cluster_id
order by found.generation_id, rank
