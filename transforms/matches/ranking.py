"""The vectors nearest to one other, each group of them once: what a question by words or by a picture asks.

What belongs here: scores of all rows, and the best groups by them. What does not: searching with many generations
(`matches/search.py`), which keeps no score of most rows.

One query has nothing to reuse: its time is that of reading every vector once, and all scores take 4 bytes a row.
"""

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.joins.cosine.join import VectorRows, as_rows

_BLOCK = 65_536
_FIRST = 64  # rows that are looked at first, and no fewer


def cosines(query: npt.NDArray[np.float32], vectors: VectorRows | Vectors, block: int = _BLOCK) -> Vectors:
    """Return the cosine of every vector with one, float32 of shape (n,), right to about 1e-6.

    Args:
        query: float32 (d,), norm 1.
        vectors: n of length d, norm 1.
        block: Vectors read at once.
    """
    rows = as_rows(vectors)
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), block):
        stop = min(start + block, len(rows))
        np.matmul(rows.read(start, stop), query, out=scores[start:stop])
    return scores


def best_of_groups(scores: npt.NDArray[np.float32], groups: npt.NDArray[np.uint64], k: int) -> npt.NDArray[np.int64]:
    """Return the index of the best of each of the k best groups, best first; of equal ones the lower index.

    Args:
        scores: float32 (n,). A row of -inf is not there.
        groups: uint64 (n,), what each row belongs to.
        k: Count of groups.
    """
    looked_at = max(_FIRST, 4 * k)
    while True:
        rows = np.arange(len(scores))
        if looked_at < len(scores):
            least = np.partition(scores, len(scores) - looked_at)[len(scores) - looked_at]
            rows = np.flatnonzero(scores >= least)
        rows = rows[scores[rows] > -np.inf]
        rows = rows[np.lexsort((rows, -scores[rows]))]
        _, first = np.unique(groups[rows], return_index=True)
        if len(first) >= k or looked_at >= len(scores):
            return rows[np.sort(first)[:k]]
        looked_at *= 8
