-- The error rate of each rule at its operating point, and the ends of its interval.
select population || ', ' || error || ' by ' || rule, error_rate, error_low, error_high
from matches.calibration
where operating_point and error_rate is not null
order by 1
