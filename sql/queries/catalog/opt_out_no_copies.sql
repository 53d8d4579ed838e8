-- No row: the columns of rows that show a listed picture as pixels or structure confirm, or that are tied to such a row.
select
    null::bigint as entry,
    null::ubigint as sample_id,
    null::varchar as method,
    null::integer as distance,
    null::ubigint as laid_over,
    null::double as copy_score,
    null::double as aligned_distance,
    null::integer as inliers,
    null::double as overlap_listed,
    null::double as overlap_training
where false
