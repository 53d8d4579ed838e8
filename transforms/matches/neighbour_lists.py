"""Lists of the training pictures nearest to a generation, kept up to date as pictures come and go.

What belongs here: what a list promises, adding to it, whether it says enough, and the likely sources that it gives.
What does not: searching (`matches/search.py`, `joins/hamming/join.py`), where lists are kept.

Pictures are numbered in the order of their SHA-256, and stand in the order of (score, highest first; number): no two
are tied, whatever the history. A list holds all pictures up to some place in that order, its floor. So what is derived
from its beginning is what a list of all pictures would give.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from transforms.hashing.digest_arrays import Rows

Numbers = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

FIRST, MOST = 64, 1024
"""Pictures that a list holds at first and at most. Whatever lies beyond the most is not looked at."""


@dataclass(frozen=True)
class Floor:
    """A place in the order of pictures, by its last picture: its score, and the SHA-256 of its pixels."""

    score: float
    digest: bytes


@dataclass(frozen=True)
class Near:
    """The pictures nearest to a generation, in order.

    number: int64 (m,). score: float32 (m,), higher is nearer. view: int64 (m,), what of the generation scored best.
    floor: all pictures up to there are in the list; None where it holds all that there are.
    """

    number: Numbers
    score: Scores
    view: Numbers
    floor: Floor | None = None

    def __len__(self) -> int:
        return len(self.number)


NONE = Near(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))


@dataclass(frozen=True)
class Wanted:
    """What is asked of a list: pictures of `clusters` clusters with a score of `least`, and the nearest anyway."""

    clusters: int
    least: float


def extended(near: Near, more: Near, digests: Rows, most: int) -> Near:
    """Return a list with the pictures found among those that are new, at most `most`, and its floor where that cuts it.

    digests: uint8 (n, 32), ascending, of all pictures by number. A picture may be in both. What lies beyond the floor
    of either is left out: others there are not known.
    """
    number, score, view = (
        np.concatenate([getattr(near, name), getattr(more, name)]) for name in ("number", "score", "view")
    )
    order = np.lexsort((number, -score))
    _, first = np.unique(number[order], return_index=True)
    order = order[np.sort(first)]
    floor = _higher(near.floor, more.floor)
    if floor is not None:
        bound = bisect_right(range(len(digests)), floor.digest, key=_digest_of(digests))
        kept = (score[order] > floor.score) | ((score[order] == floor.score) & (number[order] < bound))
        order = order[kept]
    if len(order) > most:
        order = order[:most]
        cut = Near(number[order], score[order], view[order])
        return replace(cut, floor=last(cut, digests))
    return Near(number[order], score[order], view[order], floor)


def last(near: Near, digests: Rows) -> Floor:
    """Return the place of the last picture of a list that is not empty."""
    return Floor(float(near.score[-1]), digests[near.number[-1]].tobytes())


def _digest_of(digests: Rows) -> Callable[[int], bytes]:
    return lambda number: digests[number].tobytes()


def _higher(a: Floor | None, b: Floor | None) -> Floor | None:
    if a is None or b is None:
        return a or b
    return min(a, b, key=lambda floor: (-floor.score, floor.digest))


def best(near: Near, cluster: Numbers, wanted: Wanted) -> Numbers:
    """Return the places in a list of the best picture of each of the best clusters: int64, best first.

    cluster: int64 (n,), of each picture by number.
    """
    _, first = np.unique(cluster[near.number], return_index=True)
    places = np.sort(first)[: wanted.clusters]
    return places[(places == 0) | (near.score[places] >= wanted.least)]


def suffices(near: Near, cluster: Numbers, wanted: Wanted) -> bool:
    """Tell whether a list gives what a list of all pictures, or of the MOST nearest, would."""
    if near.floor is None or len(near) >= MOST:
        return True
    if len(near) and near.floor.score < wanted.least:
        return True
    return len(np.unique(cluster[near.number])) >= wanted.clusters


def size(near: Near) -> int:
    """Return how many pictures a list holds at most: FIRST, or more where that did not suffice once."""
    return next(each for each in (FIRST, 4 * FIRST, MOST) if len(near) <= each)


def next_size(near: Near) -> int:
    """Return how many pictures to search for where a list does not suffice."""
    return min(MOST, 4 * size(near))
