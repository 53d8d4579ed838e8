"""How often a picture that was never trained on has a best match this strong.

What belongs here: the null distribution of best-match scores, its tail, p-values, and how uniform these are. What does
not: searching (`matches/search.py`), false discovery rates (`sql/matches/significance.sql`).

A score is normalised as in DISC (Douze et al., "The 2021 Image Similarity Dataset and Challenge", 2021): what a picture
has in common with many is not a sign of copying, so the mean of its best scores against other pictures is subtracted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from transforms.matches.search import SearchHits


Scores = npt.NDArray[np.float64]

LEAST_P = 1e-12  # what a few hundred scores say of the far tail ends well above this
LEAST_PICTURES = 20  # with fewer, the empirical rule says all there is to say
LEAST_EXCEEDANCES = 8
BACKGROUND = 3  # best scores whose mean is taken off


@dataclass(frozen=True)
class Tail:
    """A generalised Pareto distribution of scores above a threshold. `shape` is at least 0, so it never ends."""

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

        Up to the threshold the picture itself is counted too, so that p is never 0 (Davison and Hinkley, "Bootstrap
        Methods and their Application", 1997, 4.2). Above it, the p-value of the threshold is multiplied by the tail's,
        so the p-value is continuous at the threshold.
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
    """Fit a null distribution. It has no tail if there are fewer than 20 pictures, or 8 above the threshold.

    Args:
        scores: Best-match scores, of shape (n,).
        quantile: Where the tail begins.
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


def cross_fit(scores: npt.ArrayLike, quantile: float) -> Scores:
    """Return a p-value for each score, by a fit to the other half.

    Args:
        scores: Best-match scores, of shape (n,). A half is every second one, in this order.
        quantile: Where the tail begins.
    """
    known = np.asarray(scores, np.float64)
    p = np.ones(len(known))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        others = np.delete(known, np.arange(len(known))[half])
        p[half] = fit(others, quantile).p_values(known[half])
    return p


def uniformity(p: Scores) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance of p-values, of shape (n,), n > 0, from uniform, and its own p-value.

    The latter is the limit's, with Stephens's correction for small n (JRSS B 32, 1970).
    """
    ordered, count = np.sort(p), len(p)
    steps = np.arange(count + 1) / count
    distance = float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
    scaled = (math.sqrt(count) + 0.12 + 0.11 / math.sqrt(count)) * distance
    if scaled < 0.2:  # where the alternating series no longer converges in doubles the limit is 1 to 12 digits
        return distance, 1.0
    limit = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return distance, min(1.0, max(0.0, limit))


@dataclass(frozen=True)
class NormalisedMatch:
    """A picture's strongest match.

    Attributes:
        position: Position of the match. None without pictures to match.
        score: Cosine.
        background: See `background_mean`.
    """

    position: int | None
    score: float
    background: float

    @property
    def normalised(self) -> float:
        """The score minus the background."""
        return self.score - self.background


def background_mean(background: "SearchHits", without: Sequence[int]) -> float:
    """Return the mean of up to three background scores, or 0 if there are none.

    Args:
        background: The best background scores, at least three more than are left out.
        without: Positions that do not count.
    """
    kept = background.score[~np.isin(background.position, np.asarray(without, np.int64))][:BACKGROUND]
    return float(kept.astype(np.float64).mean()) if len(kept) else 0.0


def strongest(hits: "SearchHits", background: "SearchHits", own: int | None = None) -> NormalisedMatch:
    """Return the match with the highest normalised score.

    Args:
        hits: The matches, best first.
        background: The best background scores, by positions among the same pictures.
        own: A position left out on both sides.
    """
    left_out = [] if own is None else [own]
    matches = [
        NormalisedMatch(int(position), float(score), background_mean(background, [*left_out, int(position)]))
        for position, score in zip(hits.position, hits.score, strict=True)
        if position != own
    ]
    return max(matches, key=lambda match: match.normalised, default=NormalisedMatch(None, 0.0, 0.0))
