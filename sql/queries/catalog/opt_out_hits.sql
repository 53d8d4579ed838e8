-- A row per training row and entry of an opt-out list that names its picture by likeness, with the strongest evidence.
with found as (
    select entry, sample_id, method, distance, null as laid_over
    from near
    union all by name
    select *
    from copies
)

select
    found.sample_id,
    entries.list,
    entries.kind,
    entries.value,
    min_by(found.method, strength) as method,
    min(found.distance) as distance,
    any_value(found.laid_over) as laid_over,
    any_value(found.copy_score) as copy_score,
    any_value(found.aligned_distance) as aligned_distance,
    any_value(found.inliers) as inliers,
    any_value(found.overlap_listed) as overlap_listed,
    any_value(found.overlap_training) as overlap_training
from (
    select
        *,
        list_position(['sha256', 'pixels', 'copy', 'partial_copy', 'altered_copy', 'duplicate', 'pdq'], method)
            as strength
    from found
) as found
join entries using (entry)
semi join catalog.samples using (sample_id)
group by found.sample_id, entries.list, entries.kind, entries.value
