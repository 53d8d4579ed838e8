"""Lists of the training pictures nearest to a generation, kept up to date as pictures come and go.

What belongs here: the guarantees of a list, adding to it, whether it is long enough, and its best clusters. What does
not: searching (`matches/search.py`, `joins/hamming/join.py`), keeping lists
(`orchestration/matches/neighbour_lists.py`).

Pictures have indices in the order of their SHA-256. A list is ordered by score, highest first, then by index, so it has
no ties. A list holds all pictures down to its floor, a place in that order. So the start of a list equals the start of
a list of all pictures.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from transforms.hashing.digest_arrays import Rows

Indices = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

FIRST, MOST = 64, 1024
"""The first and the largest size of a list. Pictures beyond the largest size are ignored."""


@dataclass(frozen=True)
class Floor:
    """The lowest place of a list, by its last picture: its score, and the SHA-256 of its pixels."""

    score: float
    digest: bytes


@dataclass(frozen=True)
class NeighbourList:
    """The pictures nearest to a generation, in order.

    Attributes:
        index: int64 (m,), the pictures.
        score: float32 (m,), higher is nearer.
        view: int64 (m,), the view of the generation that scored best.
        floor: The list holds all pictures down to there; None if it holds all pictures.
    """

    index: Indices
    score: Scores
    view: Indices
    floor: Floor | None = None

    def __len__(self) -> int:
        return len(self.index)


NONE = NeighbourList(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))


@dataclass(frozen=True)
class ListDemand:
    """The required content of a list: pictures of `clusters` clusters with scores from `least` on, and the nearest."""

    clusters: int
    least: float


def extend(near: NeighbourList, more: NeighbourList, digests: Rows, most: int) -> NeighbourList:
    """Add the results of searching new pictures.

    Drops pictures beyond the floor of either list, because the lists are not complete there.

    Args:
        near: The list.
        more: The results among the new pictures. A picture may be in both lists.
        digests: uint8 (n, 32), ascending, of all pictures.
        most: Pictures kept; a list that is cut gets a floor there.
    """
    index, score, view = (
        np.concatenate([getattr(near, name), getattr(more, name)]) for name in ("index", "score", "view")
    )
    order = np.lexsort((index, -score))
    _, first = np.unique(index[order], return_index=True)
    order = order[np.sort(first)]
    floor = _higher(near.floor, more.floor)
    if floor is not None:
        bound = bisect_right(range(len(digests)), floor.digest, key=_digest_of(digests))
        order = order[(score[order] > floor.score) | ((score[order] == floor.score) & (index[order] < bound))]
    if len(order) > most:
        order = order[:most]
        cut = NeighbourList(index[order], score[order], view[order])
        return replace(cut, floor=last(cut, digests))
    return NeighbourList(index[order], score[order], view[order], floor)


def last(near: NeighbourList, digests: Rows) -> Floor:
    """Return the place of the last picture.

    Args:
        near: A list that is not empty.
        digests: uint8 (n, 32), of all pictures.
    """
    return Floor(float(near.score[-1]), digests[near.index[-1]].tobytes())


def _digest_of(digests: Rows) -> Callable[[int], bytes]:
    return lambda index: digests[index].tobytes()


def _higher(a: Floor | None, b: Floor | None) -> Floor | None:
    if a is None or b is None:
        return a or b
    return min(a, b, key=lambda floor: (-floor.score, floor.digest))


def best(near: NeighbourList, head: Indices, demand: ListDemand) -> Indices:
    """Find the best picture of each of the best clusters.

    Args:
        near: The list.
        head: int64 (n,), the head of every picture's cluster.
        demand: How many clusters, and from which score on.

    Returns:
        int64, positions in the list, best first.
    """
    _, first = np.unique(head[near.index], return_index=True)
    positions = np.sort(first)[: demand.clusters]
    return positions[(positions == 0) | (near.score[positions] >= demand.least)]


def suffices(near: NeighbourList, head: Indices, demand: ListDemand) -> bool:
    """Return whether a list gives what a list of all pictures, or of the MOST nearest, would.

    Args:
        near: The list.
        head: int64 (n,), the head of every picture's cluster.
        demand: What the list must provide.
    """
    if near.floor is None or len(near) >= MOST:
        return True
    if len(near) and near.floor.score < demand.least:
        return True
    return len(np.unique(head[near.index])) >= demand.clusters


def size(near: NeighbourList) -> int:
    """Return the capacity of a list: FIRST, or more if that did not suffice before."""
    if len(near) <= FIRST:
        return FIRST
    return 4 * FIRST if len(near) <= 4 * FIRST else MOST


def next_size(near: NeighbourList) -> int:
    """Return how many pictures to search for if a list does not suffice."""
    return min(MOST, 4 * size(near))
