"""How sure a share is that was measured on a sample.

What belongs here: the interval around a share. What does not: measuring one (`duplicates/caption_groups.py`,
`joins/cosine/cells.py`).
"""

import math


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share (Wilson, JASA 22, 1927), which holds the share whatever is rounded.

    trials: more than 0; not a whole number where the trials depend on each other, which SciPy's does not take.
    """
    z2 = 1.959964**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))
