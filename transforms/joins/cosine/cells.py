"""Cosine joins that look only where a pair is likely, for sizes where comparing all with all no longer pays.

What belongs here: cells of like vectors, the join within them, and how much it misses. What does not: exact joins
(`joins/cosine/join.py`), deciding when exact no longer pays (the settings).

Each row has a home, the cell whose centroid is nearest, and probes, the few nearest cells, its home among them. Two
rows meet when one's home is a probe of the other (Sivic and Zisserman, "Video Google", 2003, call it an inverted file).
Rows that meet are compared exactly: what is reported is true, what never meets is missed, and `measured_recall` says
how much that is. Whether two rows meet depends on nothing but them and the cells, so new rows can be joined with old
ones later. Spherical k-means (Dhillon and Modha, 2001) is written out: it is ten lines of the product that is here
anyway, it runs on CUDA, and scikit-learn's minimises Euclidean distance to means that are not of norm 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.intervals import wilson
from transforms.joins.cosine import join
from transforms.joins.cosine.join import (
    MEMORY,
    ArrayRows,
    CosinePairs,
    IndexedRows,
    as_rows,
    batched,
    nearest,
)
from transforms.joins.cosine.tiles import BATCH, ROUNDING, Hits, above, products, tensor

type Probes = npt.NDArray[np.int32]
"""Cells of each row, shape (n, probes), nearest first: the first column is its home."""

_ROUNDS = 10  # of k-means; later ones move few rows
_PLACED = 16_384  # rows placed at once: more is no faster
_WINDOW = 1 << 20  # rows whose probes are searched at once


@dataclass(frozen=True)
class Cells:
    """Where vectors lie densely. centroids: float32 of shape (cells, d), norm 1."""

    centroids: Vectors

    @classmethod
    def fit(cls, rows: IndexedRows | Vectors, cells: int, seed: int, sample: int) -> "Cells":
        """Return cells found by spherical k-means on a random sample of rows.

        cells: cut to the sampled rows. sample: rows drawn, held in memory; 40 a cell are plenty. The same rows, seed
        and sample give the same cells. Raises ValueError for fewer than one cell or no rows.
        """
        rows = as_rows(rows)
        if cells < 1 or sample < 1 or not len(rows):
            raise ValueError(f"{cells} cells cannot be found in {min(sample, len(rows))} rows: both must be at least 1")
        rng = np.random.default_rng(seed)
        drawn = rows.take(np.sort(rng.choice(len(rows), min(sample, len(rows)), replace=False)))
        centroids = drawn[np.sort(rng.choice(len(drawn), min(cells, len(drawn)), replace=False))].copy()
        for _ in range(_ROUNDS):
            home = place(ArrayRows(drawn), cls(centroids), 1)[:, 0]
            order = np.argsort(home, kind="stable")
            held, starts = np.unique(home[order], return_index=True)
            sums = np.add.reduceat(drawn[order], starts, axis=0)
            norms = np.linalg.norm(sums, axis=1, keepdims=True)
            # An empty cell stays where it is, and so does one whose vectors cancel out.
            centroids[held] = np.where(norms > 0, sums / np.maximum(norms, 1e-30), centroids[held])
        return cls(centroids)


@dataclass(frozen=True)
class JoinRecall:
    """The share of true pairs that an approximate join finds, measured on a sample of rows.

    found, true: pairs of a sampled row with any other, those that meet and all. rows: sampled rows that are in a true
    pair. share: found / true; none where there is no true pair. low, high: Wilson's 95% interval of the share. Pairs of
    one row are not independent, so it counts only (Σt)²/Σt² trials for rows with t pairs each (Kish, Survey Sampling,
    1965), as many as there are if all pairs of a row meet or none: it is approximate, and rather too wide.
    """

    found: int
    true: int
    rows: int
    share: float | None
    low: float
    high: float


def place(rows: IndexedRows | Vectors, cells: Cells, probes: int, memory: int = MEMORY) -> Probes:
    """Return the `probes` nearest cells of every row, nearest first. probes: cut to the number of cells.

    A matrix product rounds by its shape, so that how many rows are placed at once would choose between cells that are
    equally near. Where that could be, cosines are computed one by one, and the lower cell comes first.
    """
    rows = as_rows(rows)
    count, (known, dimension) = len(rows), cells.centroids.shape
    placed = np.empty((count, min(probes, known)), np.int32)
    step = max(1, min(_PLACED, memory // (4 * (2 * dimension + 2 * known))))  # vectors and their scores, each twice
    for start in range(0, count, step):
        vectors = rows.read(start, min(start + step, count))
        near = nearest(vectors, cells.centroids, min(probes + 1, known))
        close = np.flatnonzero((np.diff(near.score, axis=1) > -2 * ROUNDING).any(axis=1))
        placed[start : start + step] = near.position[:, :probes]
        for some in np.array_split(close, -(-len(close) * known // BATCH)) if len(close) else ():
            placed[start + some] = _nearest_by_one(vectors[some], cells.centroids, probes)
    return placed


def _nearest_by_one(vectors: Vectors, centroids: Vectors, probes: int) -> Probes:
    row, cell = (each.ravel() for each in np.indices((len(vectors), len(centroids))))
    scores = products(np.ascontiguousarray(vectors), centroids, row, cell).reshape(len(vectors), -1)
    return np.argsort(-scores, axis=1, kind="stable")[:, :probes].astype(np.int32)


def self_join(
    rows: IndexedRows | Vectors, threshold: float, cells: Cells, probes: int, memory: int = MEMORY
) -> Iterator[CosinePairs]:
    """Yield pairs of rows that meet and have cosine ≥ threshold, left < right, each once.

    probes: cells that each row is looked for in, at least 1. memory: bytes for vectors; 4 × (probes + 4) bytes a row
    come on top, and a tile of scores.
    """
    rows = as_rows(rows)
    placed = place(rows, cells, probes, memory)
    return batched(_once(rows, placed, threshold, memory))


def _once(rows: IndexedRows, placed: Probes, threshold: float, memory: int) -> Iterator[Hits]:
    for a, b, score in _visits(rows, placed, rows, placed, threshold, memory):
        # Where each visits the other, the lower one's visit counts.
        kept = (a < b) | ((a > b) & ~_visit(placed[b], placed[a]))
        yield np.minimum(a, b)[kept], np.maximum(a, b)[kept], score[kept]


def cross_join(
    new: IndexedRows | Vectors,
    old: IndexedRows | Vectors,
    threshold: float,
    cells: Cells,
    probes: int,
    memory: int = MEMORY,
) -> Iterator[CosinePairs]:
    """Yield pairs of a new row (left) and an old one (right) that meet and have cosine ≥ threshold; see `self_join`."""
    new, old = as_rows(new), as_rows(old)
    placed = place(new, cells, probes, memory), place(old, cells, probes, memory)
    return batched(_both_ways(new, old, *placed, threshold, memory))


def _both_ways(
    new: IndexedRows, old: IndexedRows, new_placed: Probes, old_placed: Probes, threshold: float, memory: int
) -> Iterator[Hits]:
    yield from _visits(new, new_placed, old, old_placed, threshold, memory)
    for b, a, score in _visits(old, old_placed, new, new_placed, threshold, memory):
        kept = ~_visit(new_placed[a], old_placed[b])
        yield a[kept], b[kept], score[kept]


def _visit(visitors: Probes, hosts: Probes) -> npt.NDArray[np.bool_]:
    """Return which visitors look into the home of their host, row by row."""
    return np.asarray((visitors == hosts[:, :1]).any(axis=1))


def _visits(
    rows: IndexedRows, placed: Probes, hosts: IndexedRows, hosted: Probes, threshold: float, memory: int
) -> Iterator[Hits]:
    """Yield (row, host, cosine) of every row with each host at home in one of its probes.

    Hosts are held cell after cell, as many as a quarter of the memory takes (twice, while they are put in order);
    the rows that visit those cells come past them.
    """
    room = max(1, memory // 4 // (4 * rows.dimension))
    by_home = np.argsort(hosted[:, 0], kind="stable")
    for first in range(0, len(hosts), room):
        group = by_home[first : first + room]
        home = hosted[group, 0]
        ascending = np.argsort(group)
        held = np.empty((len(group), hosts.dimension), np.float32)
        held[ascending] = hosts.take(group[ascending])
        on_device = tensor(held)
        visitors = _visitors(placed, int(home[0]), int(home[-1]))
        for start in range(0, len(visitors), max(1, room // 2)):
            some = visitors[start : start + max(1, room // 2)]
            vectors = tensor(rows.take(some))
            for these, host, score in _within(vectors, placed[some], on_device, home, threshold):
                yield some[these], group[host], score


def _visitors(placed: Probes, low: int, high: int) -> npt.NDArray[np.int64]:
    """Return the rows that probe any cell from `low` to `high`."""
    found = [np.empty(0, np.int64)]
    for start in range(0, len(placed), _WINDOW):
        window = placed[start : start + _WINDOW]
        found.append(np.flatnonzero(((window >= low) & (window <= high)).any(axis=1)) + start)
    return np.concatenate(found)


def _within(
    vectors: Any,  # noqa: ANN401 -- torch is imported late, its types have no name here
    placed: Probes,
    held: Any,  # noqa: ANN401
    home: npt.NDArray[np.int32],
    threshold: float,
) -> Iterator[Hits]:
    """Compare vectors with those held in the cells that they probe. home: cells of what is held, ascending."""
    row, probe = np.nonzero((placed >= home[0]) & (placed <= home[-1]))
    cell = placed[row, probe]
    order = np.argsort(cell, kind="stable")
    row, (asked, starts) = row[order], np.unique(cell[order], return_index=True)
    lows, highs = np.searchsorted(home, asked), np.searchsorted(home, asked, side="right")
    for some, low, high in zip(np.split(row, starts[1:]), lows, highs, strict=True):
        if low < high:
            for a, b, score in above(vectors[some], held[low:high], threshold):
                yield some[a], b + low, score


def measured_recall(
    rows: IndexedRows | Vectors,
    threshold: float,
    cells: Cells,
    probes: int,
    sample: int,
    seed: int,
    memory: int = MEMORY,
) -> JoinRecall:
    """Return how many of the pairs with cosine ≥ threshold meet, by comparing a random sample of rows with all rows.

    The sampled rows' pairs are found exactly, in one pass, and whether a pair meets is decided from its two rows: the
    join itself need not run. sample: rows drawn without repeats, cut to the rows there are; each counts with all its
    pairs but the one with itself. The sample's vectors are held, besides `memory`.
    """
    rows = as_rows(rows)
    drawn = np.sort(np.random.default_rng(seed).choice(len(rows), min(sample, len(rows)), replace=False))
    asked = rows.take(drawn)
    asked_placed = place(ArrayRows(asked), cells, probes, memory)
    true, found = np.zeros(len(drawn), np.int64), np.zeros(len(drawn), np.int64)
    step = max(1, memory // 4 // (4 * rows.dimension))
    for pairs in join.cross_join(asked, rows, threshold, memory // 2):
        other = drawn[pairs.left] != pairs.right
        left, right = pairs.left[other], pairs.right[other]
        near, which = np.unique(right, return_inverse=True)
        near_placed = np.concatenate(
            [asked_placed[:0]]
            + [
                place(ArrayRows(rows.take(near[start : start + step])), cells, probes, memory // 4)
                for start in range(0, len(near), step)
            ]
        )
        mine, theirs = asked_placed[left], near_placed[which]
        met = _visit(mine, theirs) | _visit(theirs, mine)
        true += np.bincount(left, minlength=len(drawn))
        found += np.bincount(left[met], minlength=len(drawn))
    return _recall(found, true)


def _recall(found: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> JoinRecall:
    total, rows = int(true.sum()), int(np.count_nonzero(true))
    if not total:
        return JoinRecall(0, 0, 0, None, 0.0, 1.0)
    share = int(found.sum()) / total
    low, high = wilson(share, total**2 / float((true.astype(float) ** 2).sum()))
    return JoinRecall(int(found.sum()), total, rows, share, low, high)
