"""How often answers that were drawn at random find a warehouse right, with an interval that accounts for the draw.

What belongs here: the estimate of one group from its strata. What does not: drawing (`sql/queries/review/`), the
published table, which computes the same in SQL (`sql/catalog/review_precision.sql`).

Strata are drawn with different probabilities, so that a share is the mean of those of the strata by their sizes. Its
interval is Wilson's, of as many trials as a simple draw would need for the same variance. In that variance the share
of a stratum is taken as (k + 1) / (n + 2): of a stratum in which nobody found an error yet the variance is not 0. A
stratum that was looked at as a whole adds none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transforms.intervals import wilson


@dataclass(frozen=True)
class Stratum:
    """A group of items from which some were drawn.

    Attributes:
        size: Items of it.
        answered: How many of those drawn were answered.
        right: How many of these answers agree with the warehouse.
    """

    size: int
    answered: int
    right: int


@dataclass(frozen=True)
class ReviewedShare:
    """A share of all items of some strata, with its 95% interval."""

    share: float
    low: float
    high: float


def estimate(strata: Sequence[Stratum]) -> ReviewedShare | None:
    """Return the share of items of which the warehouse is right. None if nothing was answered.

    Args:
        strata: Those of one group. Strata without answers are left out.
    """
    some = [each for each in strata if each.answered]
    if not some:
        return None
    sizes = [max(each.size, each.answered) for each in some]
    weights = [size / sum(sizes) for size in sizes]
    share = sum(w * each.right / each.answered for w, each in zip(weights, some, strict=True))
    smooth = [(each.right + 1) / (each.answered + 2) for each in some]
    middle = sum(w * p for w, p in zip(weights, smooth, strict=True))
    variance = sum(
        w**2 * p * (1 - p) / each.answered * (1 - each.answered / size)
        for w, p, each, size in zip(weights, smooth, some, sizes, strict=True)
    )
    if not variance:
        return ReviewedShare(share, share, share)
    return ReviewedShare(share, *wilson(share, middle * (1 - middle) / variance))
