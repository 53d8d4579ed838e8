-- One row per population, rule and level: how many of these pictures does the rule flag, and how many should it?
-- Measured on pictures whose truth is known: pictures that are no copies (training pictures searched without their own
-- cluster, and held-out ones), each judged by a fit to the other half of them; and edited copies of training pictures.
-- unique: population, rule, level
-- not_null: population, rule, pictures, held_out, failed, flagged, operating_point, null_pictures, tail_fitted
-- assert: population in ('not_trained', 'whole', 'part')
-- assert: rule in ('p_value', 'pixels', 'structure')
-- assert: flagged between 0 and pictures
-- assert: share between low and high
-- assert: (level is null) = (rule in ('pixels', 'structure'))
-- column population: not_trained (no copies), whole (edited copies that keep most of a training picture), part (copies of a region)
-- column rule: p_value (flagged where the p-value is at most the level), pixels (flagged where aligned pixels confirm a copy or partial_copy), structure (flagged where they do, or where structure confirms an altered_copy)
-- column level: nominal level of the p-value; the share of not_trained pictures that it should flag
-- column operating_point: the level that `calibration.level` sets; always true of pixels and structure, which have one
-- column pictures: pictures judged
-- column held_out: of these, pictures of the folder `calibration.held_out`; the others are training pictures
-- column failed: pictures that could not be compared by pixels, not among those judged
-- column flagged: pictures that the rule calls copies
-- column share: flagged / pictures: for not_trained what a reliability plot draws over level; NULL without pictures
-- column low: lower end of Wilson's 95% interval of the share
-- column high: upper end of Wilson's 95% interval of the share
-- column error: false_positive (flagged though no copy) or false_negative (not flagged though a copy)
-- column error_rate: share of the pictures that are so mistaken
-- column error_low: lower end of its interval
-- column error_high: upper end of its interval
-- column null_pictures: pictures behind the null distribution
-- column tail_fitted: whether its tail is fitted; where not, for few pictures, p-values are 1 / (1 + null_pictures) at least
-- column ks_distance: Kolmogorov-Smirnov distance of the p-values of not_trained pictures from the uniform distribution
-- column ks_p_value: how often uniform p-values lie so far off or further

with levels as (
    select level from (values (0.01), (0.05), (0.1), (0.2), (0.3), (0.4), (0.5), (0.6), (0.7), (0.8), (0.9)) as v (level)
    union
    select calibration_level from settings
),

judged as (
    select population, 'p_value' as rule, level::double as level, path, p_value <= level as flagged
    from lance_calibration_pictures
    cross join levels
    union all
    select population, 'pixels', null, path, confirmed
    from lance_calibration_pictures
    union all
    select population, 'structure', null, path, confirmed or altered
    from lance_calibration_pictures
),

counted as (
    select
        population,
        rule,
        level,
        count(flagged) as pictures,
        count(path) filter (where flagged is not null) as held_out,
        count(*) - count(flagged) as failed,
        count(*) filter (where flagged) as flagged
    from judged
    group by all
),

shared as (
    select *, flagged / nullif(pictures, 0)::double as share
    from counted
),

measured as (
    select *, wilson_low(share, pictures) as low, wilson_high(share, pictures) as high
    from shared
)

select
    population,
    rule,
    level,
    rule <> 'p_value' or level = settings.calibration_level as operating_point,
    measured.pictures,
    held_out,
    failed,
    flagged,
    share,
    low,
    high,
    if(population = 'not_trained', 'false_positive', 'false_negative') as error,
    if(population = 'not_trained', share, 1 - share) as error_rate,
    if(population = 'not_trained', low, 1 - high) as error_low,
    if(population = 'not_trained', high, 1 - low) as error_high,
    fits.pictures as null_pictures,
    fits.threshold is not null as tail_fitted,
    if(population = 'not_trained' and rule = 'p_value', fits.ks_distance, null) as ks_distance,
    if(population = 'not_trained' and rule = 'p_value', fits.ks_p_value, null) as ks_p_value
from measured
cross join settings
cross join (select * from lance_null_fits where measure = 'normalised_score') as fits
order by population, rule, level
