"""How often a picture that was never trained on has a best match this strong.

What belongs here: the null distribution of best-match scores, its tail, p-values, and how uniform these are. What does
not: searching (`matches/search.py`), false discovery rates (`sql/matches/significance.sql`).

A score is normalised as in DISC (Douze et al., "The 2021 Image Similarity Dataset and Challenge", 2021): what a picture
has in common with many is no sign that it copies one, so the mean of its best scores against other pictures is taken
off.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.matches.search import Found

Scores = npt.NDArray[np.float64]

LEAST_P = 1e-12  # what a few hundred scores say of the far tail ends well above this
LEAST_PICTURES = 20  # with fewer, the empirical rule says all there is to say
LEAST_EXCEEDANCES = 8
BACKGROUND = 3  # best scores whose mean is taken off


@dataclass(frozen=True)
class Tail:
    """A generalised Pareto distribution of what lies above a threshold. shape: at least 0, so that it never ends."""

    threshold: float
    shape: float
    scale: float
    exceedances: int


@dataclass(frozen=True)
class Null:
    """Best-match scores of pictures that are not copies, ascending, and the tail fitted to the highest, if any."""

    scores: Scores
    tail: Tail | None = None

    def p_values(self, scores: npt.ArrayLike) -> Scores:
        """Return p-values in (0, 1], of the shape of `scores`; they never rise with the score.

        Up to the threshold the picture itself counts among those as strong as it, so that p is never 0 (Davison and
        Hinkley, "Bootstrap Methods and their Application", 1997, 4.2). Above it, what remains is shared out as the tail
        says, so that nothing jumps at the threshold.
        """
        asked = np.asarray(scores, np.float64)
        base = asked if self.tail is None else np.minimum(asked, self.tail.threshold)
        p = (1 + len(self.scores) - np.searchsorted(self.scores, base, "left")) / (1 + len(self.scores))
        if self.tail is not None:
            over = np.maximum(asked - self.tail.threshold, 0) / self.tail.scale
            shape = self.tail.shape
            p = p * (np.exp(-over) if shape == 0 else np.exp(-np.log1p(shape * over) / shape))
        return np.asarray(np.maximum(p, LEAST_P), np.float64)


def fit(scores: npt.ArrayLike, quantile: float) -> Null:
    """Fit a null distribution to best-match scores, of shape (n,).

    quantile: where the tail begins. Below 20 pictures, or 8 above the threshold, there is no tail.
    """
    known = np.sort(np.asarray(scores, np.float64))
    if len(known) < LEAST_PICTURES:
        return Null(known)
    threshold = float(np.quantile(known, quantile))
    over = known[known > threshold] - threshold
    if len(over) < LEAST_EXCEEDANCES:
        return Null(known)
    shape, scale = pareto(over)
    if shape < 0:  # it would end where the highest scores seen happen to end; an exponential tail of that mean does not
        shape, scale = 0.0, float(over.mean())
    return Null(known, Tail(threshold, shape, scale, len(over)))


def pareto(exceedances: Scores) -> tuple[float, float]:
    """Return shape and scale of a generalised Pareto distribution, by probability-weighted moments.

    exceedances: positive, shape (n,). Shape: as in scipy.stats.genpareto, above 0 for heavy tails, the negative of
    Hosking and Wallis's k ("Parameter and quantile estimation for the generalized Pareto distribution", Technometrics
    29, 1987), whose plotting positions (j - 0.35) / n are taken.
    """
    ordered, count = np.sort(exceedances), len(exceedances)
    first = float(ordered.mean())
    second = float((ordered * (1 - (np.arange(1, count + 1) - 0.35) / count)).mean())
    rest = first - 2 * second  # above 0: the weights fall as the values rise, and their mean is below 1/2
    return 2 - first / rest, 2 * first * second / rest


def cross_fitted(scores: npt.ArrayLike, quantile: float) -> Scores:
    """Return a p-value for each score, by a fit to the other half: every second one, in the order given."""
    known = np.asarray(scores, np.float64)
    p = np.ones(len(known))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        others = np.delete(known, np.arange(len(known))[half])
        p[half] = fit(others, quantile).p_values(known[half])
    return p


def uniformity(p: Scores) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance of p-values from the uniform distribution, and its own p-value.

    p: shape (n,), n > 0. The p-value is the limit's, with Stephens's correction for small n (JRSS B 32, 1970).
    """
    ordered, count = np.sort(p), len(p)
    steps = np.arange(count + 1) / count
    distance = float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
    scaled = (math.sqrt(count) + 0.12 + 0.11 / math.sqrt(count)) * distance
    if scaled < 0.2:  # where the alternating series no longer converges in doubles the limit is 1 to 12 digits
        return distance, 1.0
    limit = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return distance, min(1.0, max(0.0, limit))


def smallest(digests: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int64]:
    """Return the positions of the `count` smallest digests, uint8 of shape (n, 32), in their order.

    The sample is as good as drawn at random, and stable: of n pictures and m new ones, about count · m / (n + m) of it
    change, and those that leave never come back with growth.
    """
    words = np.ascontiguousarray(digests).view(">u8").reshape(len(digests), 4)
    order = np.lexsort([words[:, column] for column in (3, 2, 1, 0)])
    return np.asarray(order[:count], np.int64)


@dataclass(frozen=True)
class Strongest:
    """A picture's strongest match.

    position: None where there is nothing to match. score: cosine. background: as `background_mean` gives it.
    """

    position: int | None
    score: float
    background: float

    @property
    def normalised(self) -> float:
        """The score without what the picture has in common with others."""
        return self.score - self.background


def background_mean(found: Found, without: Sequence[int]) -> float:
    """Return the mean of the 3 best background scores of other pictures, of fewer where there are no more; 0 of none.

    found: at least 3 and as many as are left out, best first. without: positions that do not count.
    """
    kept = found.score[~np.isin(found.position, np.asarray(without, np.int64))][:BACKGROUND]
    return float(kept.astype(np.float64).mean()) if len(kept) else 0.0


def strongest(found: Found, background: Found, own: int | None = None) -> Strongest:
    """Return the match with the highest normalised score.

    found: matches, best first. background: positions among the same pictures. own: what is left out on both sides.
    """
    left_out = [] if own is None else [own]
    matches = [
        Strongest(int(position), float(score), background_mean(background, [*left_out, int(position)]))
        for position, score in zip(found.position, found.score, strict=True)
        if position != own
    ]
    return max(matches, key=lambda match: match.normalised, default=Strongest(None, 0.0, 0.0))
