"""Clusters of pictures: components of confirmed pairs, cut so that no member drifts from its representative.

What belongs here: who belongs together, and who represents whom. What does not: finding pairs (`duplicates.py`),
counting members (`sql/duplicates/counts.sql`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Membership[Evidence]:
    """A member of a cluster and what confirms it against the representative (None for the representative itself)."""

    member: int
    representative: int
    evidence: Evidence | None


def components(count: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Return the connected components of at least two nodes, each as sorted node numbers.

    count: number of nodes. left, right: int64 of shape (p,), the pairs.
    """
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return [group for group in groups if len(group) > 1]


def assign[Evidence](
    component: Sequence[int], area: Callable[[int], int], confirm: Callable[[int, int], Evidence | None]
) -> Iterator[Membership[Evidence]]:
    """Cut one component into clusters whose members are each confirmed against their representative.

    The largest picture (by `area`, the lowest number among equals) represents all that `confirm(representative,
    member)` finds evidence for; the same is done with the rest until none is left. A picture confirmed against no
    other comes out alone.
    """
    rest = sorted(component, key=lambda node: (-area(node), node))
    while rest:
        representative, *others = rest
        yield Membership(representative, representative, None)
        rest = []
        for member in others:
            evidence = confirm(representative, member)
            if evidence is None:
                rest.append(member)
            else:
                yield Membership(member, representative, evidence)
