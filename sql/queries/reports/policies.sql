-- One row per removal policy: what it would remove and leave.
select policy, description, removed_rows, kept_rows, removed_share, pictures_removed, largest_count_after
from duplicates.policies
