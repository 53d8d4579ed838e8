"""Connected components, independent of the order of the edges.

What belongs here: union-find, and listing the members of each component. What does not: finding pairs
(`duplicates/pairs.py`), cutting a component into clusters (`duplicates/clusters.py`).
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

Nodes = npt.NDArray[np.int64]


class Components:
    """The connected components of a graph whose edges arrive in batches and are not kept.

    Union-find by Rem's algorithm with splicing (Patwary, Blair, Manne: "Experiments on union-find algorithms for the
    disjoint-set data structure", 2010). A root is the lowest node of its component, so that labels do not depend on the
    order of the edges. Memory: 4 bytes a node, 8 from 2³¹ nodes on.
    """

    def __init__(self, count: int) -> None:
        self._parent: npt.NDArray[np.signedinteger] = np.arange(count, dtype=np.int32 if count < 2**31 else np.int64)

    def add(self, left: Nodes, right: Nodes) -> None:
        """Connect left[i] with right[i].

        Args:
            left: int64 of shape (p,), nodes.
            right: Likewise.

        Raises:
            ValueError: If a node does not exist, or the arrays differ in length.
        """
        if left.shape != right.shape:
            raise ValueError(f"left and right must hold one end of each edge, not {len(left)} and {len(right)} ends")
        if (wrong := _link(self._parent, left, right)) >= 0:
            raise ValueError(
                f"the nodes are 0 to {len(self._parent) - 1}; an edge has the ends {left[wrong]} and {right[wrong]}"
            )

    def labels(self) -> npt.NDArray[np.signedinteger]:
        """Return the lowest node of each node's component, shape (count,). Valid until the next `add`."""
        _flatten(self._parent)
        return self._parent


@nb.njit(cache=True, nogil=True)
def _link(parent, left, right):  # noqa: ANN001, ANN202
    """Connect the edges in order. Return -1, or the index of the first edge with an end outside the graph."""
    for i in range(len(left)):
        a, b = left[i], right[i]
        if min(a, b) < 0 or max(a, b) >= len(parent):
            return i
        while parent[a] != parent[b]:  # a parent is never above its child: the end with the higher one climbs
            if parent[a] < parent[b]:
                a, b = b, a
            above, parent[a] = parent[a], parent[b]
            if above == a:  # it was a root
                break
            a = above
    return -1


@nb.njit(cache=True, nogil=True)
def _flatten(parent):  # noqa: ANN001, ANN202
    for node in range(len(parent)):
        parent[node] = parent[parent[node]]  # the parent is lower and already points at the root


@dataclass(frozen=True)
class ComponentMembers:
    """Components of at least two nodes, in order of their lowest node.

    Attributes:
        nodes: int64 of shape (m,), one component after the other, each sorted.
        starts: int64 of shape (g + 1,); component i is `nodes[starts[i]:starts[i + 1]]`.
    """

    nodes: Nodes
    starts: Nodes

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> Nodes:
        return self.nodes[self.starts[number] : self.starts[number + 1]]


def list_members(labels: npt.NDArray[np.signedinteger]) -> ComponentMembers:
    """Return the components that `Components.labels` names.

    Memory: as much as the labels, and 8 bytes for each node of a component of at least two.
    """
    return ComponentMembers(*_grouped(labels))


@nb.njit(cache=True, nogil=True)
def _grouped(labels):  # noqa: ANN001, ANN202
    place = np.zeros(len(labels), labels.dtype)  # members of each label, then where its next member goes
    for label in labels:
        place[label] += 1
    count = 0
    for size in place:
        count += size > 1
    starts, at, group = np.empty(count + 1, np.int64), 0, 0
    for label in range(len(place)):
        size, place[label] = place[label], -1
        if size > 1:
            starts[group] = place[label] = at
            at, group = at + size, group + 1
    starts[group] = at
    nodes = np.empty(at, np.int64)
    for node in range(len(labels)):
        label = labels[node]
        if place[label] >= 0:
            nodes[place[label]] = node
            place[label] += 1
    return nodes, starts
