"""Searching the training pictures with the views of a generation.

What belongs here: the best neighbours of a generation over its views, and the null distribution of such bests. What
does not: deciding what a neighbour means (`sql/matches/`), comparing pixels (`alignment.py`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.cosine_join import Rows, nearest
from transforms.encoders import Vectors


@dataclass(frozen=True)
class Found:
    """The training pictures nearest to one generation, best first.

    position: int64 of shape (k,) into the searched vectors. score: float32 (k,), the best cosine over the views.
    view: int64 (k,), the view that scored best.
    """

    position: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    view: npt.NDArray[np.int64]


def best_over_views(views: npt.NDArray[np.float32], vectors: Rows | Vectors, k: int) -> list[Found]:
    """Return the k training pictures nearest to any view of each generation.

    views: float32 of shape (generations, views, d). vectors: float32 of shape (m, d); norm 1 both.
    """
    count, each, dimension = views.shape
    flat = nearest(views.reshape(count * each, dimension), vectors, k)
    found = []
    for g in range(count):
        rows = slice(g * each, (g + 1) * each)
        position, score = flat.position[rows].ravel(), flat.score[rows].ravel()
        view = np.repeat(np.arange(each), flat.position.shape[1])
        order = np.lexsort((view, position, -score))
        _, first = np.unique(position[order], return_index=True)  # a picture counts once, by its best view
        kept = order[np.sort(first)][:k]
        found.append(Found(position[kept], score[kept], view[kept]))
    return found


def best_of_others(views: npt.NDArray[np.float32], own: npt.NDArray[np.int64], vectors: Vectors) -> list[Found]:
    """Return, for training pictures searched with as if generated, the nearest that is not the picture itself.

    own: int64 of shape (n,), the position of each picture among `vectors`, one vector a cluster. Over many pictures
    the scores are the null distribution: what a picture that is not in the set scores at its best.
    """
    found = best_over_views(views, vectors, 2)
    return [_without(each, position) for each, position in zip(found, own, strict=True)]


def _without(found: Found, position: int) -> Found:
    kept = np.flatnonzero(found.position != position)[:1]
    return Found(found.position[kept], found.score[kept], found.view[kept])
