-- One row per listed picture, the $clusters most repeated ones, most repeated first.
select cluster_id::varchar as id, representative_id, duplicate_count, exact_count, distinct_urls, distinct_captions,
    distinct_hosts, max_distance_to_representative, licenses, hosts, captions, unsafe
from reports.repeated_pictures
order by duplicate_count desc, cluster_id
limit $clusters
