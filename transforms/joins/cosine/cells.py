"""Cosine joins that compare only likely pairs, for sizes at which comparing all pairs no longer pays.

What belongs here: cells of like vectors, the join within them, and how much it misses. What does not: exact joins
(`joins/cosine/join.py`), choosing between the two (`orchestration/duplicates/copy_joins.py`).

Spherical k-means finds the cells. Each row has probes, the few cells whose centroids are nearest, and the first of them
is its home cell. A row is a query of each of its probes: it is compared with the rows that are at home there. So two
rows are compared when the home cell of one is a probe of the other (an inverted file: Sivic and Zisserman, "Video
Google", 2003). Sketches are compared first, and of alike ones the vectors, exactly (`joins/cosine/alike.py`). Other
pairs are missed, and `measured_recall` returns how many. Whether a pair is found depends only on the two rows and the
cells, so new rows can be joined with old ones later.

Spherical k-means (Dhillon and Modha, 2001) is implemented here: it takes ten lines with the existing product, it runs
on CUDA, and scikit-learn's k-means minimises Euclidean distance to means that are not of norm 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.intervals import wilson
from transforms.joins.cosine import join
from transforms.joins.cosine.alike import alike, likeness
from transforms.joins.cosine.cell_pairs import PlacedRows, Positions, Probes, asks, met
from transforms.joins.cosine.join import (
    MEMORY,
    ArrayRows,
    CosinePairs,
    IndexedRows,
    as_rows,
    merge_batches,
    nearest,
)
from transforms.joins.cosine.sketches import bits, sketch
from transforms.joins.cosine.tiles import BATCH, ROUNDING, Hits, products
from transforms.joins.progress import Progress, untold

_ROUNDS = 10  # of k-means; later ones move few rows
_SPREAD, _TRIALS = 10, 4  # rows a cell among which spread ones are chosen, and rows tried for each
_PLACED = 16_384  # rows placed at once: more is no faster


@dataclass(frozen=True)
class Cells:
    """Cells of like vectors. `centroids` is float32 of shape (cells, d), norm 1."""

    centroids: Vectors

    @classmethod
    def fit(cls, rows: IndexedRows | Vectors, cells: int, seed: int, sample: int, *, spread: bool = False) -> "Cells":
        """Find cells by spherical k-means on a random sample of rows. Equal arguments give equal cells.

        Args:
            rows: The vectors.
            cells: Count of cells; at most that of sampled rows.
            seed: Of the sample and the first centroids.
            sample: Count of sampled rows, held in memory; 40 per cell suffice.
            spread: Whether to begin with twice as many cells, spread out, and to merge them: hardly any two heaps of
                rows then share a cell while another is cut in two. It takes several times as long.

        Raises:
            ValueError: For fewer than one cell, or no rows.
        """
        rows = as_rows(rows)
        if cells < 1 or sample < 1 or not len(rows):
            raise ValueError(
                f"cells and sampled rows must both be at least 1, not {cells} and {min(sample, len(rows))}"
            )
        rng = np.random.default_rng(seed)
        drawn = rows.take(np.sort(rng.choice(len(rows), min(sample, len(rows)), replace=False)))
        count = min(cells, len(drawn))
        if spread:
            centroids, lengths = _settled(drawn, drawn[_spread(drawn, min(2 * count, len(drawn)), rng)])
            centroids, _ = _settled(drawn, _merged(centroids, lengths, count))
        else:
            centroids, _ = _settled(drawn, drawn[np.sort(rng.choice(len(drawn), count, replace=False))])
        return cls(centroids)


def _settled(drawn: Vectors, centroids: Vectors) -> tuple[Vectors, Vectors]:
    """Return centroids after some rounds of k-means, and the length of the sum of the vectors of each."""
    centroids, lengths = centroids.copy(), np.zeros(len(centroids), np.float32)
    for _ in range(_ROUNDS):
        home = _homes(drawn, centroids)
        order = np.argsort(home, kind="stable")
        held, starts = np.unique(home[order], return_index=True)
        sums = np.add.reduceat(drawn[order], starts, axis=0)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        # An empty cell stays where it is, and so does one whose vectors cancel out.
        centroids[held] = np.where(norms > 0, sums / np.maximum(norms, 1e-30), centroids[held])
        lengths[:] = 0
        lengths[held] = norms[:, 0]
    return centroids, lengths


def _merged(centroids: Vectors, lengths: Vectors, count: int) -> Vectors:
    """Merge cells until so many are left, each time the two by whose merging cosines fall least.

    Args:
        centroids: float32 (n, d), norm 1.
        lengths: float32 (n,), of the sums of the vectors of each. The sum of all is what k-means maximises.
        count: Of cells to be left.
    """
    sums = centroids * lengths[:, None]
    alive = np.ones(len(sums), np.bool_)

    def costs(cell: int) -> Vectors:
        joint = np.sqrt(np.maximum(lengths**2 + lengths[cell] ** 2 + 2 * (sums @ sums[cell]), 0))
        lost = lengths + lengths[cell] - joint
        return np.where(alive & (np.arange(len(sums)) != cell), lost, np.inf)

    lengths = lengths.copy()
    least, mate = np.empty(len(sums), np.float32), np.empty(len(sums), np.int64)
    for cell in range(len(sums)):
        row = costs(cell)
        least[cell], mate[cell] = row.min(), row.argmin()
    for _ in range(len(sums) - count):
        cell = int(np.where(alive, least, np.inf).argmin())
        other = int(mate[cell])
        sums[cell] += sums[other]
        lengths[cell] = np.linalg.norm(sums[cell])
        alive[other] = False
        for each in np.flatnonzero(alive & ((mate == cell) | (mate == other) | (np.arange(len(sums)) == cell))):
            row = costs(int(each))
            least[each], mate[each] = row.min(), row.argmin()
        row = costs(cell)
        nearer = alive & (row < least)
        least[nearer], mate[nearer] = row[nearer], cell
    merged = sums[alive]
    norms = np.linalg.norm(merged, axis=1, keepdims=True)
    return np.where(norms > 0, merged / np.maximum(norms, 1e-30), centroids[alive])


def _spread(drawn: Vectors, count: int, rng: np.random.Generator) -> Positions:
    """Choose rows far from each other: the greedy k-means++ of Arthur and Vassilvitskii (2007), on some of the rows."""
    some = np.sort(rng.choice(len(drawn), min(len(drawn), _SPREAD * count), replace=False))
    among = drawn[some]
    chosen = [int(rng.integers(len(among)))]
    far = np.maximum(1 - among @ among[chosen[0]], 0)  # half the squared distance, of unit vectors
    while len(chosen) < count:
        tried = rng.choice(len(among), _TRIALS, p=far / far.sum()) if far.sum() > 0 else rng.permutation(len(among))[:1]
        left = np.minimum(far[:, None], np.maximum(1 - among @ among[tried].T, 0))
        best = int(left.sum(axis=0).argmin())
        chosen.append(int(tried[best]))
        far = left[:, best]
    return some[np.array(chosen)]


def _homes(vectors: Vectors, centroids: Vectors) -> npt.NDArray[np.int64]:
    """Return the nearest centroid of each vector."""
    parts = range(0, len(vectors), _PLACED)
    near = [nearest(vectors[start : start + _PLACED], centroids, 1).position[:, 0] for start in parts]
    return np.concatenate(near)


@dataclass(frozen=True)
class JoinRecall:
    """The share of true pairs that an approximate join finds, measured on a sample of rows.

    The pairs of one row are not independent, so Wilson's interval counts (Σt)²/Σt² trials for rows with t pairs each
    (Kish, Survey Sampling, 1965), as if all pairs of a row were found or none: it is approximate, and rather too wide.

    Attributes:
        found: Pairs of a sampled row with any other that are compared.
        true: All pairs of a sampled row.
        rows: Sampled rows that are in a true pair.
        share: `found / true`. None without true pairs.
        low: Lower end of Wilson's interval at 95%.
        high: Upper end.
    """

    found: int
    true: int
    rows: int
    share: float | None
    low: float
    high: float


def place(rows: IndexedRows | Vectors, cells: Cells, probes: int, memory: int = MEMORY) -> PlacedRows:
    """Find the nearest cells of every row, the home first, and the lower cell among equals.

    The rounding of a matrix product depends on its shape, so the number of rows placed at once could decide between
    equally near cells. In such cases cosines are computed one by one.

    Args:
        rows: The vectors.
        cells: The cells.
        probes: Cells a row; cut to the number of cells.
        memory: Bytes that may be held.
    """
    rows = as_rows(rows)
    count, (known, dimension) = len(rows), cells.centroids.shape
    placed = np.empty((count, min(probes, known)), np.int32)
    sketches = np.empty((count, bits(dimension) // 8), np.uint8)
    step = max(1, min(_PLACED, memory // (4 * (2 * dimension + 2 * known))))  # vectors and their scores, each twice
    for start in range(0, count, step):
        vectors = rows.read(start, min(start + step, count))
        sketches[start : start + step] = sketch(vectors)
        near = nearest(vectors, cells.centroids, min(probes + 1, known))
        # What counts is which cell is the home, and which are among the probes, not the order of the others.
        gaps = -np.diff(near.score, axis=1)[:, sorted({0, min(probes, known) - 1} & {*range(near.score.shape[1] - 1)})]
        close = np.flatnonzero((gaps < 2 * ROUNDING).any(axis=1))
        placed[start : start + step] = near.position[:, :probes]
        for some in np.array_split(close, -(-len(close) * known // BATCH)) if len(close) else ():
            placed[start + some] = _nearest_by_one(vectors[some], cells.centroids, probes)
    return PlacedRows(rows, placed, sketches)


def _nearest_by_one(vectors: Vectors, centroids: Vectors, probes: int) -> Probes:
    row, cell = (each.ravel() for each in np.indices((len(vectors), len(centroids))))
    scores = products(np.ascontiguousarray(vectors), centroids, row, cell).reshape(len(vectors), -1)
    return np.argsort(-scores, axis=1, kind="stable")[:, :probes].astype(np.int32)


def self_join(
    rows: IndexedRows | Vectors,
    threshold: float,
    cells: Cells,
    probes: int,
    memory: int = MEMORY,
    progress: Progress = untold,
) -> Iterator[CosinePairs]:
    """Yield pairs of rows that are compared and have cosine ≥ threshold, left < right, each once.

    Args:
        rows: The vectors.
        threshold: Least cosine.
        cells: The cells.
        probes: Cells that each row is a query of, at least 1.
        memory: Bytes for vectors; 4 × (probes + 4) bytes a row, two sketches of each and a tile of scores come on top.
        progress: Is told the share of the work that is done.
    """
    placed = place(rows, cells, probes, memory)
    return merge_batches(_once(placed, threshold, memory, progress))


def _once(placed: PlacedRows, threshold: float, memory: int, progress: Progress) -> Iterator[Hits]:
    """Yield each pair once, the lower row first. If each row is a query of the other's home, the lower query counts."""

    def kept(a: Positions, b: Positions) -> npt.NDArray[np.bool_]:
        return (a < b) | ((a > b) & ~asks(placed.probes[b], placed.probes[a]))

    for a, b, score in met(placed, placed, threshold, memory, kept, progress):
        yield np.minimum(a, b), np.maximum(a, b), score


def cross_join(
    new: IndexedRows | Vectors,
    old: IndexedRows | Vectors,
    threshold: float,
    cells: Cells,
    probes: int,
    memory: int = MEMORY,
    progress: Progress = untold,
) -> Iterator[CosinePairs]:
    """Yield pairs of a new row (left) and an old one (right) that are compared and have cosine ≥ threshold.

    Args:
        new: Vectors.
        old: Vectors.
        threshold: Least cosine.
        cells: The cells of both.
        probes: Cells that each row is a query of, at least 1.
        memory: As for `self_join`.
        progress: As for `self_join`.
    """
    placed = place(new, cells, probes, memory), place(old, cells, probes, memory)
    return merge_batches(_both_ways(*placed, threshold, memory, progress))


def _both_ways(new: PlacedRows, old: PlacedRows, threshold: float, memory: int, progress: Progress) -> Iterator[Hits]:
    def all_of_them(a: Positions, _: Positions) -> npt.NDArray[np.bool_]:
        return np.ones(len(a), np.bool_)

    def not_yet(b: Positions, a: Positions) -> npt.NDArray[np.bool_]:
        return ~asks(new.probes[a], old.probes[b])

    yield from met(new, old, threshold, memory, all_of_them, lambda share: progress(share / 2))
    for b, a, score in met(old, new, threshold, memory, not_yet, lambda share: progress((1 + share) / 2)):
        yield a, b, score


def measured_recall(
    rows: IndexedRows | Vectors,
    threshold: float,
    cells: Cells,
    probes: int,
    sample: int,
    seed: int,
    memory: int = MEMORY,
) -> JoinRecall:
    """Return how many pairs with cosine ≥ threshold the join finds, by an exact join of a random sample of rows.

    Two rows determine whether the join compares them, so the join itself need not run. Pairs of a row with itself do
    not count. The vectors of the sample are held in addition to `memory`.

    Args:
        rows: The vectors.
        threshold: Least cosine.
        cells: The cells.
        probes: Cells that each row is a query of.
        sample: Rows drawn without repeats; cut to the rows there are.
        seed: Of the sample.
        memory: Bytes that may be held.
    """
    rows = as_rows(rows)
    drawn = np.sort(np.random.default_rng(seed).choice(len(rows), min(sample, len(rows)), replace=False))
    asked = rows.take(drawn)
    mine, how = place(ArrayRows(asked), cells, probes, memory), likeness(threshold, rows.dimension)
    true, found = np.zeros(len(drawn), np.int64), np.zeros(len(drawn), np.int64)
    step = max(1, memory // 4 // (4 * rows.dimension))
    for pairs in join.cross_join(asked, rows, threshold, memory // 2):
        other = drawn[pairs.left] != pairs.right
        left, right = pairs.left[other], pairs.right[other]
        near, which = np.unique(right, return_inverse=True)
        compared = np.zeros(len(right), np.bool_)
        for start in range(0, len(near), step):
            theirs = place(ArrayRows(rows.take(near[start : start + step])), cells, probes, memory // 4)
            here = np.flatnonzero((which >= start) & (which < start + step))
            a, b = left[here], which[here] - start
            near_cells = asks(mine.probes[a], theirs.probes[b]) | asks(theirs.probes[b], mine.probes[a])
            compared[here] = near_cells & alike(mine.sketches[a], theirs.sketches[b], how)
        true += np.bincount(left, minlength=len(drawn))
        found += np.bincount(left[compared], minlength=len(drawn))
    return _recall(found, true)


def _recall(found: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> JoinRecall:
    total, rows = int(true.sum()), int(np.count_nonzero(true))
    if not total:
        return JoinRecall(0, 0, 0, None, 0.0, 1.0)
    share = int(found.sum()) / total
    low, high = wilson(share, total**2 / float((true.astype(float) ** 2).sum()))
    return JoinRecall(int(found.sum()), total, rows, share, low, high)
