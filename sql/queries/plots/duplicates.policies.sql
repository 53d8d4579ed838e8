-- The count of rows that each policy removes.
select policy, removed_rows
from duplicates.policies
