"""Searching the training pictures with the views of a generation.

What belongs here: the best neighbours of a generation over its views. What does not: keeping results
(`matches/neighbour_lists.py`), interpreting neighbours (`sql/matches/`), comparing pixels (`alignment/align.py`).

A tile of the product of all views with a block of pictures is first reduced to its best view, and only pictures that
may still be among the best are computed again. These are scored by themselves, in float64: a matrix product adds up in
an order that depends on its shape, so two runs could disagree about which of two is nearer.
"""

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.joins.cosine.join import VectorRows, as_rows
from transforms.joins.cosine.tiles import BATCH, ROUNDING, TILES, device, full_precision, tensor

_BLOCK = 65_536


@dataclass(frozen=True)
class SearchHits:
    """The training pictures nearest to one generation, best first.

    Attributes:
        position: int64 (k,), into the searched vectors.
        score: float32 (k,), the best cosine over the views.
        view: int64 (k,), the view that scored best.
    """

    position: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    view: npt.NDArray[np.int64]


def best_over_views(
    views: npt.NDArray[np.float32],
    vectors: VectorRows | Vectors,
    k: int,
    *,
    order: npt.NDArray[np.int64] | None = None,
    floor: npt.NDArray[np.float32] | None = None,
    block: int = _BLOCK,
) -> list[SearchHits]:
    """Find the k training pictures nearest to any view of each generation, exactly.

    The result does not depend on `block` or on the device.

    Args:
        views: float32 of shape (generations, views, d), norm 1.
        vectors: Those of the pictures, n of length d, norm 1.
        k: Pictures kept for a generation.
        order: int64 (n,), which of two equally near pictures comes first; by default the lower position.
        floor: float32 (generations,), the least score that counts.
        block: Vectors read at once.
    """
    rows = as_rows(vectors)
    best = _Best(views, min(k, len(rows)), np.arange(len(rows)) if order is None else order, floor)
    if len(views) and k:
        for start in range(0, len(rows), block):
            best.compare(rows.read(start, min(start + block, len(rows))), start)
    return best.hits()


class _Best:
    """The best k so far for some generations, which are compared with the pictures block by block."""

    def __init__(
        self,
        views: npt.NDArray[np.float32],
        k: int,
        order: npt.NDArray[np.int64],
        floor: npt.NDArray[np.float32] | None,
    ) -> None:
        count, each, dimension = views.shape
        self._views, self._k, self._order = np.ascontiguousarray(views, np.float32), k, order
        self._asked = tensor(self._views.reshape(count * each, dimension))
        self._least = np.full(count, -np.inf, np.float32) if floor is None else np.array(floor, np.float32)
        self._score = np.full((count, k), -np.inf, np.float32)
        self._position = np.full((count, k), -1, np.int64)
        self._view = np.zeros((count, k), np.int64)

    def compare(self, part: Vectors, start: int) -> None:
        torch, where = device()
        part = np.ascontiguousarray(part, np.float32)
        known = tensor(part)
        count, each, _ = self._views.shape
        height, width = TILES[where]
        at_once = min(count, max(1, height // each))
        width = min(BATCH, max(width, height * width // (at_once * each)))
        scores = torch.empty(at_once * each * min(width, len(part)), device=where)
        for first in range(0, count, at_once):
            asked = self._asked[first * each : (first + at_once) * each]
            for column in range(0, len(part), width):
                some = known[column : column + width]
                tile = scores[: len(asked) * len(some)].view(len(asked), len(some))
                with full_precision():
                    torch.mm(asked, some.T, out=tile)
                if each > 1:
                    tile = tile.view(-1, each, len(some)).amax(dim=1)
                self._keep(tile, first, part[column : column + width], start + column)

    def _keep(self, tile: Any, first: int, part: Vectors, start: int) -> None:  # noqa: ANN401 -- torch has no types here
        torch, where = device()
        kept = (self._score, self._position, self._view)
        if where == "cpu":
            _scan(self._views, part, tile.numpy(), first, start, self._order, self._least, *kept)
            return
        least = torch.from_numpy(self._least[first : first + len(tile)]).to(where)
        if len(part) >= self._k and bool((least == -torch.inf).any()):  # nothing is ruled out yet: what the tile does
            kth = tile.topk(self._k, dim=1).values[:, -1] - ROUNDING
            least = torch.where(least == -torch.inf, kth, least)
        least = least - ROUNDING
        rows = torch.nonzero(tile.amax(dim=1) >= least).ravel()
        for some in rows.split(max(1, BATCH // len(part))) if len(rows) else ():
            a, b = torch.nonzero(tile[some] >= least[some, None], as_tuple=True)
            owner, columns = some[a].cpu().numpy() + first, b.cpu().numpy()
            asking, begins = np.unique(owner, return_index=True)
            begins = np.append(begins, len(owner))
            _insert(self._views, part, asking, begins, columns, start, self._order, self._least, *kept)
            self._least[asking] = np.maximum(self._least[asking], self._score[asking, -1])  # -inf while there is room

    def hits(self) -> list[SearchHits]:
        """Return the best of each generation."""
        counts = (self._position >= 0).sum(axis=1)
        return [
            SearchHits(self._position[g, :m].copy(), self._score[g, :m].copy(), self._view[g, :m].copy())
            for g, m in enumerate(counts.tolist())
        ]


def scores(
    views: npt.NDArray[np.float32], vectors: Vectors, owner: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Score pairs of a generation and a picture exactly as searching does.

    Args:
        views: float32 of shape (generations, views, d).
        vectors: float32 (n, d), of the pictures.
        owner: int64 (n,), the generation that each picture is paired with.

    Returns:
        Scores, float32 (n,), and the views that scored best, int64 (n,).
    """
    found, way = np.empty(len(vectors), np.float32), np.empty(len(vectors), np.int64)
    _score_pairs(np.ascontiguousarray(views, np.float32), np.ascontiguousarray(vectors, np.float32), owner, found, way)
    return found, way


@nb.njit(cache=True, nogil=True)
def _best_view(views, vector):  # noqa: ANN001, ANN202
    """Return the highest cosine over the views, and the first view that has it; the same wherever it is computed."""
    best, way = np.float32(-np.inf), 0
    whole = len(vector) // 4 * 4
    for v in range(len(views)):
        a = b = c = d = 0.0  # four sums: one would wait for itself at every step
        for i in range(0, whole, 4):
            a += np.float64(views[v, i]) * np.float64(vector[i])
            b += np.float64(views[v, i + 1]) * np.float64(vector[i + 1])
            c += np.float64(views[v, i + 2]) * np.float64(vector[i + 2])
            d += np.float64(views[v, i + 3]) * np.float64(vector[i + 3])
        for i in range(whole, len(vector)):
            a += np.float64(views[v, i]) * np.float64(vector[i])
        score = np.float32((a + b) + (c + d))
        if score > best:
            best, way = score, v
    return best, way


@nb.njit(parallel=True, cache=True, nogil=True)
def _score_pairs(views, vectors, owner, found, way):  # noqa: ANN001, ANN202
    for i in nb.prange(len(vectors)):
        found[i], way[i] = _best_view(views[owner[i]], vectors[i])


@nb.njit(cache=True, nogil=True)
def _place(g, own, best, way, order, score, position, view):  # noqa: ANN001, ANN202
    """Insert a picture into the best of a generation, if it is among them."""
    k = score.shape[1]
    place = k
    while place > 0:
        other = position[g, place - 1]
        if other >= 0 and (score[g, place - 1] > best or (score[g, place - 1] == best and order[other] < order[own])):
            break
        place -= 1
    for m in range(k - 1, place, -1):
        score[g, m], position[g, m], view[g, m] = score[g, m - 1], position[g, m - 1], view[g, m - 1]
    if place < k:
        score[g, place], position[g, place], view[g, place] = best, own, way


@nb.njit(parallel=True, cache=True, nogil=True)
def _scan(views, part, tile, first, start, order, least, score, position, view):  # noqa: ANN001, ANN202
    """Insert each pair of a tile that may be among the best of its generation. The bound rises as they are found."""
    last = score.shape[1] - 1
    for i in nb.prange(len(tile)):
        g = first + i
        for column in range(tile.shape[1]):
            if tile[i, column] < least[g] - ROUNDING:
                continue
            best, way = _best_view(views[g], part[column])
            if best >= least[g]:
                _place(g, start + column, best, way, order, score, position, view)
                least[g] = max(least[g], score[g, last])  # -inf while there is room


@nb.njit(parallel=True, cache=True, nogil=True)
def _insert(views, part, asking, begins, columns, start, order, least, score, position, view):  # noqa: ANN001, ANN202
    """Insert each pair into the best of its generation, if it is among them."""
    for i in nb.prange(len(asking)):
        g = asking[i]
        for j in range(begins[i], begins[i + 1]):
            best, way = _best_view(views[g], part[columns[j]])
            if best >= least[g]:
                _place(g, start + columns[j], best, way, order, score, position, view)
