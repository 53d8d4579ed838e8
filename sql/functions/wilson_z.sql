-- The square of the normal quantile of 95% intervals by the trials; NULL without trials. See wilson_low.
-- parameter trials: how many
1.959964 ** 2 / nullif(trials, 0)
