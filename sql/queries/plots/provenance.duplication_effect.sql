-- The share of each band that was copied, and the ends of its interval.
select 'shown ' || band || ' times', share, share_low, share_high
from provenance.duplication_effect
