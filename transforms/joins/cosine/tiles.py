"""The cosines of two blocks of unit vectors, tile by tile, and the pairs above a threshold.

What belongs here: the matrix product on the CPU or CUDA, and finding the few scores that count without copying the
others. What does not: which blocks are compared (`joins/cosine/join.py`, `joins/cosine/cells.py`).

A tile of scores is small enough to stay in the cache of a CPU, and every tile is written into the same memory. One read
of it finds the maximum of each row; only rows whose maximum reaches the threshold are looked at again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

BATCH = 1 << 20
"""The most pairs that are found, or handed on, at once."""

TILES = {"cpu": (2048, 512), "cuda": (8192, 8192)}
"""Rows and columns of a tile of scores by device: 4 MB stay in a CPU's cache, 256 MB keep a GPU busy."""

ROUNDING = 1e-5
"""More than a product of unit vectors in float32 errs."""

_SETTLED = 65_536  # pairs computed again at once on CUDA

type Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Row, column and score of what reaches the threshold."""


@cache
def device() -> tuple[Any, str]:
    """Return torch, and the device that products run on: `cuda` where there is one, else `cpu`."""
    import torch  # late: it takes seconds, and the UI must not wait for it

    return torch, "cuda" if torch.cuda.is_available() else "cpu"


def tensor(vectors: npt.NDArray[np.float32]) -> Any:  # noqa: ANN401 -- torch is imported late, its types have no name here
    """Return vectors on the device, as float32 of shape (n, d)."""
    torch, where = device()
    return torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).to(where)


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply in float32 inside this context: neither TF32 on CUDA nor bfloat16 on the CPU."""
    torch, _ = device()
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)


def pairs_above(left: Any, right: Any, threshold: float, ahead: int | None = None) -> Iterator[Hits]:  # noqa: ANN401
    """Yield every row of `left` with every row of `right` whose cosine is ≥ threshold, at most BATCH at once.

    Args:
        left: A block, as `tensor` makes it.
        right: Likewise.
        threshold: Least cosine.
        ahead: For two blocks of the same rows: how many rows `left` begins behind `right`. Then only pairs are yielded
            whose left row comes first.
    """
    torch, where = device()
    height, width = TILES[where]
    area, height = height * width, max(1, min(height, len(left)))
    width = min(BATCH, max(width, area // height))  # few rows: long tiles
    scores = torch.empty(height * min(width, len(right)), device=where)
    for column in range(0, len(right), width):
        part = right[column : column + width]
        # VectorRows at or after the last column come first in no pair of this part.
        rows = len(left) if ahead is None else max(0, min(len(left), column + len(part) - 1 - ahead))
        for row in range(0, rows, height):
            asked = left[row : min(row + height, rows)]
            tile = scores[: len(asked) * len(part)].view(len(asked), len(part))
            with full_precision():
                torch.mm(asked, part.T, out=tile)
            if ahead is not None and row + len(asked) + ahead > column:
                behind = torch.arange(row + ahead, row + ahead + len(asked), device=where)
                tile.masked_fill_(torch.arange(column, column + len(part), device=where) <= behind[:, None], -torch.inf)
            for a, b in _near(tile, threshold - ROUNDING):
                score = _scores(asked, part, a, b)
                kept = score >= threshold
                if kept.any():
                    yield (a[kept] + row).cpu().numpy(), (b[kept] + column).cpu().numpy(), score[kept].cpu().numpy()


def _near(tile: Any, threshold: float) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
    torch, _ = device()
    # "Not below" and not "above": the maximum of a row that holds a NaN is NaN, and its other scores still count.
    rows = torch.nonzero(~(tile.amax(dim=1) < threshold)).ravel()
    for some in rows.split(max(1, BATCH // tile.shape[1])) if len(rows) else ():
        a, b = torch.nonzero(tile[some] >= threshold, as_tuple=True)
        if len(a):
            yield some[a], b


def _scores(left: Any, right: Any, a: Any, b: Any) -> Any:  # noqa: ANN401
    """Return the cosines of some pairs, the same for two vectors whichever tile they are in.

    A matrix product adds up in an order that depends on its shape. So near pairs are computed again one by one, in
    float64: new rows joined with old ones later have the scores, and the pairs, of one join of all.
    """
    torch, where = device()
    if where == "cpu":
        return torch.from_numpy(products(left.numpy(), right.numpy(), a.numpy(), b.numpy()))
    parts = zip(a.split(_SETTLED), b.split(_SETTLED), strict=True)
    return torch.cat([(left[x].double() * right[y].double()).sum(dim=1).float() for x, y in parts])


@nb.njit(parallel=True, cache=True, nogil=True)
def products(left, right, a, b):  # noqa: ANN001, ANN201
    """Return the cosines of left[a] with right[b], float32 of shape (p,): each by itself, in float64, in one order.

    Args:
        left: float32 of shape (n, d), norm 1.
        right: float32 of shape (m, d), norm 1.
        a: Indices into left, of shape (p,).
        b: Indices into right, of shape (p,).
    """
    found = np.empty(len(a), np.float32)
    for i in nb.prange(len(a)):
        x, y, total = left[a[i]], right[b[i]], 0.0
        for j in range(len(x)):
            total += np.float64(x[j]) * np.float64(y[j])
        found[i] = total
    return found


def highest(scores: Any, k: int) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the k highest scores of each row and their columns; the lower columns are taken among equals.

    Args:
        scores: A tensor of shape (n, m).
        k: At most m.
    """
    torch, _ = device()
    best, places = scores.topk(k, dim=1)
    if not k:
        return best, places
    least = best[:, -1:]
    cut = torch.nonzero((scores >= least).sum(dim=1) > k).ravel()  # rows where topk chose among equals as it liked
    if len(cut):
        higher, tied = scores[cut] > least[cut], scores[cut] == least[cut]
        kept = higher | (tied & (tied.cumsum(dim=1) <= k - higher.sum(dim=1, keepdim=True)))
        places[cut] = kept.nonzero()[:, 1].view(-1, k)
        best[cut] = scores[cut].gather(1, places[cut])
    return best, places
