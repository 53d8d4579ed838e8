-- One row per population, rule and level: how often the rule flagged pictures of known truth.
select population, rule, level, pictures, flagged, share, low, high, error, operating_point
from matches.calibration
order by population, rule, level
