"""Confidence intervals of shares measured on a sample.

What belongs here: the interval around a share. What does not: measuring one (`duplicates/caption_groups.py`,
`joins/cosine/cells.py`).
"""

import math


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share (Wilson, JASA 22, 1927), which always contains the share.

    Args:
        share: Between 0 and 1.
        trials: More than 0. Dependent trials count for less, so it need not be whole, as SciPy's interval asks.
    """
    z2 = 1.959964**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))
