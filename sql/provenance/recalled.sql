-- One row per training row that an opt-out list withdrew: what other rows show its picture, and which generations
-- resemble it? The model was trained on it: taking the row out of the set does not take it out of the model.
-- unique: sample_id
-- not_null: sample_id, list, kind, value, dataset, cluster_id, live_rows, generations, generation_ids
-- assert: kind in ('sample_id', 'url', 'host', 'sha256', 'pdq', 'picture', 'plus', 'c2pa', 'headers')
-- assert: generations = len(generation_ids)
-- assert: (generations > 0) = (verdict is not null)
-- column list: name of the list in the settings; the first that names the row; `policies.honour` where its file does
-- column kind: what the list names it by; of `policies.honour` which statement: plus, c2pa, headers
-- column value: the entry, as the list has it; of `policies.honour` the reason, and which copy gives it
-- column cluster_id: the cluster of its picture; its own id where no other row shows it, or it has no usable picture
-- column live_rows: rows that are not recalled and show the same picture
-- column generations: generations of which this picture is a likely source
-- column generation_ids: these, the strongest verdict first
-- column verdict: the strongest among them: exact, copy, partial_copy, altered_copy or similar
-- column sample_id: the training row that was withdrawn
-- column dataset: of that row
-- column url: of that row, as the metadata states it

with placed as (
    select recalled.*, coalesce(members.representative_id, recalled.sample_id) as cluster_id
    from lance_recalled_rows as recalled
    left join lance_cluster_members as members using (sample_id)
),

touched as (
    select
        cluster_id,
        list(generation_id order by strength, generation_id) as generation_ids,
        min_by(verdict, strength) as verdict
    from (
        select *, verdict_rank(verdict) as strength
        from provenance.sources
    )
    group by cluster_id
)

select
    placed.sample_id,
    placed.list,
    placed.kind,
    placed.value,
    samples.dataset,
    samples.url,
    placed.cluster_id,
    coalesce(pictures.copies, 0) as live_rows,
    coalesce(len(touched.generation_ids), 0) as generations,
    coalesce(touched.generation_ids, []) as generation_ids,
    touched.verdict
from placed
join catalog.samples using (sample_id)
left join duplicates.pictures using (cluster_id)
left join touched using (cluster_id)
order by placed.list, placed.sample_id
