-- How often a picture that was never trained on has a best match this strong, in (0, 1]. Up to the threshold the picture
-- itself counts among those as strong as it: an empirical p-value is never 0 (Davison & Hinkley 1997). Above it a
-- generalised Pareto tail shares out what remains. `transforms/matches/null_distribution.py` computes the same.
-- parameter score: normalised score of the match
-- parameter as_strong: null pictures with a score of at least the lesser of `score` and `threshold`
-- parameter pictures: null pictures
-- parameter threshold: where the tail begins; NULL where none is fitted
-- parameter shape: of the tail
-- parameter scale: of the tail
greatest(
    1e-12,
    (1 + as_strong) / (1 + pictures)::double
    * case
        when threshold is null or score <= threshold then 1
        when shape = 0 then exp(-(score - threshold) / scale)
        else pow(1 + shape * (score - threshold) / scale, -1 / shape)
    end
)
