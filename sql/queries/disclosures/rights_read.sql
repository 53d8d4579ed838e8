-- One row: pictures of shards whose files were read for what they say of their use, and pictures of the other shards.
select
    coalesce(sum(pictures) filter (where rights_read), 0)::bigint as read,
    coalesce(sum(pictures) filter (where not rights_read), 0)::bigint as not_read
from catalog.shards
