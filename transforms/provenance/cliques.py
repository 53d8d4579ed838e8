"""The largest clique of a graph: pictures of which every two are near each other.

What belongs here: finding it within bounded work, and bounding its size. What does not: the distances
(`provenance/memorization.py`), connected components (`duplicates/components.py`): a chain of pictures that change step
by step is one component, yet holds no clique.

Carlini et al. 2023, section 4.2, call a prompt memorized when its generations hold a clique of 10.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUDGET = 5_000_000
"""Vertices coloured before a search ends with its best clique; a few seconds."""

Adjacency = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Clique:
    """The largest clique that a search found.

    Attributes:
        members: Its vertices, ascending.
        at_most: No clique has more members than this.
    """

    members: tuple[int, ...]
    at_most: int

    @property
    def exact(self) -> bool:
        """Whether no clique is larger. If not, the search ran out of its budget, and this is a lower bound."""
        return len(self.members) == self.at_most

    def holds(self, size: int) -> bool | None:
        """Return whether a clique of `size` members exists, or None if the search ended before it knew."""
        if len(self.members) >= size:
            return True
        return False if self.at_most < size else None


def largest_clique(near: Adjacency, budget: int = BUDGET) -> Clique:
    """Find a largest clique of a graph; exact unless the budget ends the search.

    Branch and bound with greedy colouring (Tomita, Seki: "An efficient branch-and-bound algorithm for finding a maximum
    clique", 2003), on bit sets, over the vertices whose core number allows more than a first greedy clique.

    Args:
        near: Which vertices are adjacent, of shape (n, n); the diagonal does not count.
        budget: Vertices coloured before the search ends.

    Raises:
        ValueError: If the matrix is not square and symmetric.
    """
    if near.ndim != 2 or near.shape[0] != near.shape[1] or not np.array_equal(near, near.T):
        raise ValueError(f"which pictures are near is a symmetric matrix, not one of shape {near.shape}")
    if not len(near):
        return Clique((), 0)
    order, core = _cores(near)
    best = _greedy(near, order[::-1])
    # A clique of k vertices lies in the (k - 1)-core: a vertex with fewer neighbours there cannot enlarge the best.
    kept = np.array([v for v in order[::-1] if core[v] >= len(best)], np.int64)
    if not len(kept):
        return Clique(tuple(sorted(best)), len(best))
    larger, at_most = _search(_bits(near[np.ix_(kept, kept)]), len(best), budget)
    members = [int(kept[v]) for v in larger] if larger else best
    return Clique(tuple(sorted(members)), max(len(members), min(at_most, int(core.max()) + 1)))


def _cores(near: Adjacency) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Return the vertices, each the least connected one that was left, and their core numbers."""
    graph = near & ~np.eye(len(near), dtype=np.bool_)
    degree = graph.sum(axis=1).astype(np.int64)
    core, order, most = np.zeros(len(near), np.int64), [], 0
    left = np.ones(len(near), np.bool_)
    for _ in range(len(near)):
        vertex = int(np.where(left, degree, len(near)).argmin())
        most = max(most, int(degree[vertex]))
        core[vertex], left[vertex] = most, False
        degree -= graph[vertex]
        order.append(vertex)
    return order, core


def _greedy(near: Adjacency, order: list[int]) -> list[int]:
    """Return a clique: each vertex in turn that is near all before it."""
    clique: list[int] = []
    for vertex in order:
        if near[vertex, clique].all():
            clique.append(vertex)
    return clique


def _bits(near: Adjacency) -> list[int]:
    graph = near & ~np.eye(len(near), dtype=np.bool_)
    return [int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little") for row in graph]


def _search(near: list[int], known: int, budget: int) -> tuple[list[int], int]:
    """Return a largest clique of more than `known` vertices, or nothing, and the most that a clique can have."""
    best: list[int] = []
    most = known
    path: list[int] = []
    candidates = (1 << len(near)) - 1
    order = _coloured(near, candidates)
    bound = order[-1][1]
    spent = len(order)
    stack = [(order, candidates)]
    while stack:
        order, candidates = stack.pop()
        if not order or len(path) + order[-1][1] <= most:  # so many colours hold no larger clique
            if path:
                path.pop()
            continue
        if spent > budget:
            return best, max(most, bound)
        vertex, _ = order.pop()
        stack.append((order, candidates & ~(1 << vertex)))
        path.append(vertex)
        if len(path) > most:
            best, most = path.copy(), len(path)
        inner = candidates & near[vertex]
        stack.append((_coloured(near, inner), inner))
        spent += inner.bit_count() + 1
    return best, most


def _coloured(near: list[int], candidates: int) -> list[tuple[int, int]]:
    """Return the vertices with a colour each, from 1 on, ascending: near ones never share a colour."""
    order, colour = [], 0
    while candidates:
        colour += 1
        free = candidates
        while free:
            low = free & -free
            vertex = low.bit_length() - 1
            order.append((vertex, colour))
            candidates ^= low
            free &= ~(near[vertex] | low)
    return order
