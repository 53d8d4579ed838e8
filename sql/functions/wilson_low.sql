-- Lower end of Wilson's 95% interval of a share (Wilson, JASA 22, 1927), at most the share; 0 without trials.
-- parameter share: successes by trials, in [0, 1]
-- parameter trials: how many
least(
    share,
    greatest(0, (share + wilson_z(trials) / 2 - sqrt(wilson_z(trials) * (share * (1 - share) + wilson_z(trials) / 4))) / (1 + wilson_z(trials)))
)
