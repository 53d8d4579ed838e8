"""Exact cosine joins over unit vectors, as blocked matrix products.

What belongs here: every pair above a similarity, and the nearest of many for each query. What does not: making vectors
(`encoders.py`), deciding that a pair shows the same picture (`duplicates.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors


@dataclass(frozen=True)
class Neighbours:
    """The best of many for each query, best first.

    position: int64 of shape (n, k) into the searched vectors. score: float32 of shape (n, k), cosine.
    """

    position: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]


@cache
def _torch() -> tuple[Any, str]:
    import torch  # late: it takes seconds, and the UI must not wait for it

    return torch, "cuda" if torch.cuda.is_available() else "cpu"


def self_join(
    vectors: Vectors, threshold: float, block: int = 4096
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Yield (left, right, cosine) for every pair of rows with cosine ≥ threshold, left < right.

    vectors: float32 of shape (n, d), norm 1. Memory: the vectors, block² scores, and the pairs of one block.
    """
    torch, device = _torch()
    rows = torch.from_numpy(np.ascontiguousarray(vectors)).to(device)
    for top in range(0, len(rows), block):
        for start in range(top, len(rows), block):
            scores = rows[top : top + block] @ rows[start : start + block].T
            near = scores >= threshold
            if start == top:
                near = near.triu(diagonal=1)
            left, right = torch.nonzero(near, as_tuple=True)
            cosine = scores[left, right]
            yield (left + top).cpu().numpy(), (right + start).cpu().numpy(), cosine.cpu().numpy()


def nearest(queries: Vectors, vectors: Vectors, k: int, block: int = 65_536) -> Neighbours:
    """Return the k nearest of `vectors` for each query, exactly; ties go to the lower position.

    queries: float32 (n, d); vectors: float32 (m, d), norm 1. k is cut to m. Memory: n × (block + k) scores.
    """
    torch, device = _torch()
    k = min(k, len(vectors))
    wanted = torch.from_numpy(np.ascontiguousarray(queries)).to(device)
    best_score = torch.empty((len(queries), 0), device=device)
    best_position = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
    for start in range(0, len(vectors), block):
        part = torch.from_numpy(np.ascontiguousarray(vectors[start : start + block])).to(device)
        scores, places = _best(wanted @ part.T, min(k, len(part)))
        positions, by_position = torch.cat([best_position, places + start], dim=1).sort(dim=1)
        scores = torch.cat([best_score, scores], dim=1).gather(1, by_position)
        order = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
        best_score, best_position = scores.gather(1, order), positions.gather(1, order)
    return Neighbours(best_position.cpu().numpy(), best_score.cpu().numpy())


def _best(scores: Any, k: int) -> tuple[Any, Any]:  # noqa: ANN401 -- torch's tensors; importing it here would be early
    """Return the k highest scores of each row and their places. Of equal scores, the lower places are taken."""
    torch, _ = _torch()
    best, places = scores.topk(k, dim=1)
    least = best[:, -1:]
    cut = torch.nonzero((scores >= least).sum(dim=1) > k).ravel()  # rows where topk chose among equals as it liked
    if len(cut):
        above, tied = scores[cut] > least[cut], scores[cut] == least[cut]
        kept = above | (tied & (tied.cumsum(dim=1) <= k - above.sum(dim=1, keepdim=True)))
        places[cut] = kept.nonzero()[:, 1].view(-1, k)
        best[cut] = scores[cut].gather(1, places[cut])
    return best, places
