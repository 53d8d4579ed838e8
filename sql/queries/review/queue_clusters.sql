-- One row per cluster, the most repeated first, at most $most; $each and $seed are not used: clusters are not sampled.
select
    images.pixel_sha256 as picture_a, null::varchar as picture_b, counts.representative_id as sample_a,
    null::ubigint as sample_b, null::varchar as generation_id, null::varchar as method, null::varchar as verdict,
    counts.max_distance_to_representative as measure, null::double as threshold, null::varchar as stratum,
    null::bigint as stratum_size, false as sampled, null::double as probability, counts.duplicate_count as copies
from duplicates.counts
join fingerprints.images as images on images.sample_id = counts.representative_id
where $each >= 0 and $seed is not null
order by counts.duplicate_count desc, counts.cluster_id
limit $most
