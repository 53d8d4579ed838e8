"""How alike the members of one cluster are, by their embeddings.

What belongs here: the least cosine within a cluster. What does not: making vectors (`encoders/`), pairs above a
threshold (`joins/cosine/join.py`).
"""

from dataclasses import dataclass

import numpy as np

from transforms.encoders import Vectors

EXACT_MEMBERS = 4096
"""Members up to which all pairs are compared."""
_BLOCK = 4096


@dataclass(frozen=True)
class LeastSimilarity:
    """The least cosine between any two members; a lower bound of it where it is not exact."""

    similarity: float
    exact: bool


def least_similarity(vectors: Vectors) -> LeastSimilarity:
    """Return the least cosine between any two of a cluster's vectors, 1 for a cluster of one.

    Up to `EXACT_MEMBERS`, all pairs are compared. Beyond, angles on the sphere are a metric: angle(a, b) ≤ angle(a, r)
    + angle(r, b) for the representative r. So the cosine of the sum of the two largest angles to r is a lower bound, -1
    where the sum exceeds half a turn; this takes s comparisons instead of s².

    Args:
        vectors: float32 of shape (s, d), norm 1, s at least 1, the representative first.

    Raises:
        ValueError: If the shape is another.
    """
    if vectors.ndim != 2 or not len(vectors):
        raise ValueError(f"vectors must have shape (s, d) with s at least 1, not {vectors.shape}")
    if len(vectors) > EXACT_MEMBERS:
        return LeastSimilarity(_bound(vectors), exact=False)
    import torch  # late: it takes seconds

    # In float64, so that what is rounded to float32 in the end does not depend on the order of the members.
    rows = torch.from_numpy(vectors.astype(np.float64)).to("cuda" if torch.cuda.is_available() else "cpu")
    # A vector with itself may come out a hair below 1, and a cluster of equal vectors has no lower pair.
    least = min(1.0, float((rows @ rows.T).min().float()))
    return LeastSimilarity(max(-1.0, least), exact=True)


def _bound(vectors: Vectors) -> float:
    centre, angles = vectors[0].astype(np.float64), []
    for start in range(0, len(vectors), _BLOCK):
        apart = np.linalg.norm(vectors[start : start + _BLOCK] - centre, axis=1)
        angles.append(2 * np.arcsin(np.minimum(apart / 2, 1)))  # the arc cosine would lose small angles to rounding
    widest = np.sort(np.concatenate(angles))[-2:].sum()
    return float(np.cos(min(widest, np.pi)))
