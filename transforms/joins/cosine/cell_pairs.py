"""Which rows that are in cells are compared, and which of them are near.

What belongs here: comparing the queries of cells with the rows at home there, by sketches on a CPU, by products on
CUDA. What does not: the cells, each pair once (`joins/cosine/cells.py`), when sketches are alike
(`joins/cosine/alike.py`). Both ways find the same pairs.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.joins.cosine.alike import Likeness, Sketches, SketchTable, alike, likeness, pairs_alike
from transforms.joins.cosine.join import IndexedRows
from transforms.joins.cosine.tiles import BATCH, Hits, device, pairs_above, products, tensor
from transforms.joins.hamming.workers import Workers
from transforms.joins.progress import Progress

type Probes = npt.NDArray[np.int32]
"""Cells of each row, shape (n, probes): the first column is its home, the nearest."""

type Positions = npt.NDArray[np.int64]
type Kept = Callable[[Positions, Positions], npt.NDArray[np.bool_]]

_QUERIES = 4_000_000  # rows as queries of cells that are put in order at once
_PAIRS = 4_000_000  # pairs that are compared at once: all of them may be alike
_WINDOW = 1 << 20  # rows whose probes are searched at once


@dataclass(frozen=True)
class PlacedRows:
    """Rows, the cells in which they are, and their sketches.

    Attributes:
        rows: The vectors.
        probes: The nearest cells of each.
        sketches: uint8 of shape (n, bytes).
    """

    rows: IndexedRows
    probes: Probes
    sketches: Sketches


def asks(queries: Probes, homes: Probes) -> npt.NDArray[np.bool_]:
    """Return, row by row, whether the home cell of a row at home is among the probes of a query.

    Args:
        queries: Probes of the queries.
        homes: Probes of the rows at home.
    """
    return np.asarray((queries == homes[:, :1]).any(axis=1))


def met(
    asked: PlacedRows, others: PlacedRows, threshold: float, memory: int, kept: Kept, progress: Progress
) -> Iterator[Hits]:
    """Yield (query, row at home, cosine) of the pairs whose sketches are alike and that are kept.

    Args:
        asked: The queries.
        others: The rows at home.
        threshold: Least cosine.
        memory: Bytes for vectors.
        kept: Returns which of some pairs count, so that none is yielded twice.
        progress: Is told the share of the cells that are done.
    """
    if not len(asked.rows) or not len(others.rows):
        return
    _, where = device()
    how = likeness(threshold, others.rows.dimension)
    if where == "cuda":
        for a, b, score in _compared(asked, others, threshold, memory, progress):
            near = kept(a, b) & alike(asked.sketches[a], others.sketches[b], how)
            yield a[near], b[near], score[near]
        return
    room = max(1, memory // 4 // (4 * others.rows.dimension))
    for a, b in _alike(asked, others, how, progress):
        near = kept(a, b)
        a, b = a[near], b[near]
        for start in range(0, len(a), room):
            yield from _settled(asked, others, a[start : start + room], b[start : start + room], threshold)


def _settled(asked: PlacedRows, others: PlacedRows, a: Positions, b: Positions, threshold: float) -> Iterator[Hits]:
    """Yield the pairs of which the cosine reaches the threshold, each computed by itself."""
    left, one = np.unique(a, return_inverse=True)
    right, other = np.unique(b, return_inverse=True)
    score = products(_contiguous(asked.rows.take(left)), _contiguous(others.rows.take(right)), one, other)
    near = score >= threshold
    if near.any():
        yield a[near], b[near], score[near]


def _contiguous(vectors: Vectors) -> Vectors:
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _alike(
    asked: PlacedRows, others: PlacedRows, how: Likeness, progress: Progress
) -> Iterator[tuple[Positions, Positions]]:
    """Yield (query, row at home) of alike sketches, cell after cell, and about a million pairs at once."""
    by_home = np.argsort(others.probes[:, 0], kind="stable")
    home = others.probes[by_home, 0]
    table = SketchTable.of(others.sketches[by_home])
    cells, lows = np.unique(home, return_index=True)
    highs = np.append(lows[1:], len(home))
    held, total = list[tuple[Positions, Positions]](), 0
    with ThreadPoolExecutor(nb.config.NUMBA_NUM_THREADS) as pool:
        workers = Workers(pool, nb.config.NUMBA_NUM_THREADS)
        per_range = max(1, _QUERIES * len(cells) // max(1, asked.probes.size))
        for first in range(0, len(cells), per_range):
            some = slice(first, first + per_range)
            queries = _queries_of(asked.probes, cells[some])
            work = [
                partial(_cell, asked.sketches, part, table, (low, high), how)
                for rows, low, high in zip(queries, lows[some].tolist(), highs[some].tolist(), strict=True)
                for part in _parts(rows, max(1, _PAIRS // (high - low)))
            ]
            for a, b in workers.in_order(work, 2 * workers.count):
                held.append((a, by_home[b]))
                total += len(a)
                if total >= BATCH:
                    yield _joined(held)
                    held, total = [], 0
            progress(min(1.0, (first + per_range) / len(cells)))
    if held:
        yield _joined(held)


def _parts(rows: Positions, most: int) -> Iterator[Positions]:
    for start in range(0, len(rows), most):
        yield rows[start : start + most]


def _joined(parts: list[tuple[Positions, Positions]]) -> tuple[Positions, Positions]:
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def _cell(
    sketches: Sketches, rows: Positions, others: SketchTable, part: tuple[int, int], how: Likeness
) -> tuple[tuple[Positions, Positions], None]:
    asked, other = pairs_alike(sketches[rows], others, part, how)
    return (rows[asked], other), None


def _queries_of(placed: Probes, cells: npt.NDArray[np.int32]) -> list[Positions]:
    """Return the rows that are queries of each of some cells, which ascend."""
    rows, found = [], []
    for start in range(0, len(placed), _WINDOW):
        window = placed[start : start + _WINDOW]
        row, probe = np.nonzero((window >= cells[0]) & (window <= cells[-1]))
        rows.append(row + start)
        found.append(window[row, probe])
    row, cell = np.concatenate(rows), np.concatenate(found)
    order = np.argsort(cell, kind="stable")
    row, cell = row[order], cell[order]
    lows, highs = np.searchsorted(cell, cells), np.searchsorted(cell, cells, side="right")
    return [row[low:high] for low, high in zip(lows, highs, strict=True)]


def _compared(
    asked: PlacedRows, others: PlacedRows, threshold: float, memory: int, progress: Progress
) -> Iterator[Hits]:
    """Yield (query, row at home, cosine) of every query with each row whose home is one of the query's probes.

    Rows at home are held cell after cell, as many as a quarter of the memory takes, and twice while they are put in
    order. The queries of those cells are read past them.
    """
    room = max(1, memory // 4 // (4 * others.rows.dimension))
    by_home = np.argsort(others.probes[:, 0], kind="stable")
    for first in range(0, len(by_home), room):
        group = by_home[first : first + room]
        home = others.probes[group, 0]
        ascending = np.argsort(group)
        held = np.empty((len(group), others.rows.dimension), np.float32)
        held[ascending] = others.rows.take(group[ascending])
        on_device = tensor(held)
        queries = _query_rows(asked.probes, int(home[0]), int(home[-1]))
        for start in range(0, len(queries), max(1, room // 2)):
            some = queries[start : start + max(1, room // 2)]
            vectors = tensor(asked.rows.take(some))
            for these, other, score in _within(vectors, asked.probes[some], on_device, home, threshold):
                yield some[these], group[other], score
        progress(min(1.0, (first + room) / len(by_home)))


def _query_rows(placed: Probes, low: int, high: int) -> npt.NDArray[np.int64]:
    """Return the rows that are queries of any cell from `low` to `high`."""
    parts = [np.empty(0, np.int64)]
    for start in range(0, len(placed), _WINDOW):
        window = placed[start : start + _WINDOW]
        parts.append(np.flatnonzero(((window >= low) & (window <= high)).any(axis=1)) + start)
    return np.concatenate(parts)


def _within(
    vectors: Any,  # noqa: ANN401 -- torch is imported late, its types have no name here
    placed: Probes,
    held: Any,  # noqa: ANN401
    home: npt.NDArray[np.int32],
    threshold: float,
) -> Iterator[Hits]:
    """Compare queries with the held rows of their probes. `home` has the cell of each held row, ascending."""
    row, probe = np.nonzero((placed >= home[0]) & (placed <= home[-1]))
    cell = placed[row, probe]
    order = np.argsort(cell, kind="stable")
    row, (asked, starts) = row[order], np.unique(cell[order], return_index=True)
    lows, highs = np.searchsorted(home, asked), np.searchsorted(home, asked, side="right")
    for some, low, high in zip(np.split(row, starts[1:]), lows, highs, strict=True):
        if low < high:
            for a, b, score in pairs_above(vectors[some], held[low:high], threshold):
                yield some[a], b + low, score
