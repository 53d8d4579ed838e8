"""Cosine joins: how much of a bare product's speed the exact one keeps, what the one in cells finds and saves."""

import math
import time

import numpy as np
import numpy.typing as npt
import torch

from tests.benchmarks.alone import Result, alone, peak_gb
from tests.benchmarks.data import vectors
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, fastest, say
from transforms.joins.cosine import cells as cosine_cells
from transforms.joins.cosine.cells import Cells, measured_recall
from transforms.joins.cosine.join import self_join
from transforms.joins.cosine.tiles import TILES

_ROWS, _GPU_ROWS, _COPIES = 100_000, 1_000_000, 100
_ROUNDS = 3 if FULL else 1
_BLOCK = 8192  # rows and columns of a large block of a bare product
_CELL_ROWS = 200_000 if FULL else 50_000
_CELLS, _FITTED, _PROBES, _SAMPLE, _NEAR = math.isqrt(_CELL_ROWS), 40, 64, 1_000, 0.5  # the pipeline's defaults
_MANY, _BUDGET, _FOUND = 1_000_000 if FULL else 50_000, 176 if FULL else 64, 0.95


def _planted(count: int) -> npt.NDArray[np.float32]:
    """Return random unit vectors of 512 numbers, one in _COPIES of them near another one (cosine 0.5 to 1)."""
    made = vectors(count).copy()
    rng = np.random.default_rng(5)
    copies = count // _COPIES
    noise = rng.standard_normal((copies, made.shape[1]), dtype=np.float32) / made.shape[1] ** 0.5
    made[-copies:] = made[:copies] + rng.uniform(0, 1.5, (copies, 1)).astype(np.float32) * noise
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def copied(count: int) -> npt.NDArray[np.float32]:
    """Return unit vectors of 512 numbers, half of them copies of the others at cosines spread evenly from _NEAR to 1.

    Variance falls along the axes, as that of pictures does, so that there is something for cells to follow; but no
    cluster keeps a copy near its original: only their cosine does, and the cells cut where they like.
    """
    rng = np.random.default_rng(6)
    spread = np.arange(1, 513, dtype=np.float32) ** np.float32(-0.25)

    def unit(made: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    first = unit(rng.standard_normal((count // 2, 512), dtype=np.float32) * spread)
    source = first[rng.integers(0, len(first), count - len(first))]
    away = rng.standard_normal(source.shape, dtype=np.float32) * spread
    away = unit(away - (away * source).sum(axis=1, keepdims=True) * source)
    cosine = rng.uniform(_NEAR, 1, (len(source), 1)).astype(np.float32)
    return np.concatenate([first, cosine * source + np.sqrt(1 - cosine**2) * away])


def _tiles(rows: torch.Tensor, scores: torch.Tensor) -> None:
    """Multiply the same tiles as the join, into the same memory, and look at none of them."""
    height, width = TILES["cpu"]
    for column in range(0, len(rows), width):
        right = rows[column : column + width]
        for row in range(0, column + len(right) - 1, height):
            _product(rows[row : min(row + height, column + len(right) - 1)], right, scores)


def _blocks(rows: torch.Tensor, scores: torch.Tensor) -> None:
    """Multiply large blocks above the diagonal, and the tiles of those on it: as many operations as `_tiles`."""
    for column in range(0, len(rows), _BLOCK):
        right = rows[column : column + _BLOCK]
        for row in range(0, column, _BLOCK):
            _product(rows[row : row + _BLOCK], right, scores)
        _tiles(right, scores)


def _product(left: torch.Tensor, right: torch.Tensor, scores: torch.Tensor) -> None:
    torch.mm(left, right.T, out=scores[: len(left) * len(right)].view(len(left), len(right)))


def _efficiency() -> Measured:
    if torch.cuda.is_available():
        raise NotMeasured("the join runs on CUDA here; cosine_gpu_share of the group gpu is its figure")
    rows, pairs = _planted(_ROWS), set()
    known, scores = torch.from_numpy(rows), torch.zeros(_BLOCK**2)
    for work in (_tiles, _blocks):
        work(known[: 2 * _BLOCK], scores)
    sum(len(batch.left) for batch in self_join(rows[: 2 * _BLOCK], 0.5))
    best = fastest(
        {
            "ours": lambda: pairs.add(sum(len(batch.left) for batch in self_join(rows, 0.5))),
            "tiles": lambda: _tiles(known, scores),
            "blocks": lambda: _blocks(known, scores),
        },
        rounds=_ROUNDS,
    )
    (found,) = pairs
    parts = {"pairs": found, "join_s": best["ours"], "tiles_s": best["tiles"], "blocks_s": best["blocks"]}
    return Measured(min(best["tiles"], best["blocks"]) / best["ours"], parts)


def _cells() -> Measured:
    rows = copied(_CELL_ROWS)
    cells = Cells.fit(rows, _CELLS, 0, _FITTED * _CELLS)
    pairs: dict[str, int] = {}

    def count(name: str, batches) -> None:  # noqa: ANN001
        pairs[name] = sum(len(batch.left) for batch in batches)

    best = fastest(
        {
            "cells": lambda: count("cells", cosine_cells.self_join(rows, _NEAR, cells, _PROBES)),
            "exact": lambda: count("exact", self_join(rows, _NEAR)),
            "fit": lambda: Cells.fit(rows, _CELLS, 0, _FITTED * _CELLS),
        },
        rounds=_ROUNDS,
    )
    start = time.perf_counter()
    recall = measured_recall(rows, _NEAR, cells, _PROBES, _SAMPLE, 0)
    say(f"  recall measured in {time.perf_counter() - start:.1f} s")
    if recall.share is None:
        raise AssertionError("no pair of the copied vectors is near")
    parts = {"low": recall.low, "high": recall.high, "brute_force": pairs["cells"] / pairs["exact"]}
    fewer = measured_recall(rows, _NEAR, cells, 1, _SAMPLE, 0)
    parts["one_probe"] = fewer.found / fewer.true
    parts |= {"pairs": pairs["exact"], "cells": _CELLS, "probes": _PROBES, "fit_s": best["fit"]}
    parts |= {"exact_s": best["exact"], "cells_s": best["cells"]}
    parts["speedup"] = best["exact"] / (best["fit"] + best["cells"])
    return Measured(recall.share, parts)


def joined_in_cells(count: int, probes: int) -> Result:
    """Join vectors in cells, and measure what the join finds: the seconds include fitting the cells.

    Raises AssertionError for less than _FOUND.
    """
    warm = copied(2_000)
    list(cosine_cells.self_join(warm, _NEAR, Cells.fit(warm, 10, 0, 400), 2))
    rows, known = copied(count), math.isqrt(count)
    before, began = peak_gb(), time.perf_counter()
    cells = Cells.fit(rows, known, 0, _FITTED * known)
    fitted = time.perf_counter()
    pairs = sum(len(batch) for batch in cosine_cells.self_join(rows, _NEAR, cells, probes))
    done = time.perf_counter()
    found = {"s": done - began, "fit_s": fitted - began, "pairs": pairs, "cells": known, "probes": probes}
    recall = measured_recall(rows, _NEAR, cells, probes, _SAMPLE, 0)
    if recall.share is None or recall.share < _FOUND:
        raise AssertionError(f"{recall.share} of the near pairs are found, after {found}")
    return found | {"recall": recall.share, "low": recall.low, "high": recall.high, "before_gb": before}


def _many_in_cells() -> Measured:
    found = alone(joined_in_cells, _MANY, _BUDGET)
    return Measured(found.pop("s"), found)


def gpu_share() -> Measured:
    """Return the exact join's rate on CUDA over that of a bare product in the same process."""
    rows = _planted(_GPU_ROWS)
    square = torch.randn(8192, 8192, device="cuda")

    def peak() -> None:
        for _ in range(10):
            square @ square.T
        torch.cuda.synchronize()

    peak()
    best = fastest({"ours": lambda: sum(len(b.left) for b in self_join(rows, 0.5)), "peak": peak}, rounds=2)
    ours = _GPU_ROWS**2 * rows.shape[1] / best["ours"]  # two operations for each number of half of all pairs
    return Measured(ours / (10 * 2 * 8192**3 / best["peak"]), {"join_s": best["ours"], "tflops": ours / 1e12})


FIGURES = (
    Figure(
        "cosine_efficiency",
        "ratio",
        ">= 0.8",
        "the faster of two bare products in PyTorch on the CPU, nothing compared: the same tiles, and blocks of "
        f"{_BLOCK}²; each pair once, {_ROWS:,} × 512",
        _efficiency,
    ),
    Figure(
        "cosine_cells_recall",
        "share",
        "reported",
        f"the exact join of {_CELL_ROWS:,} × 512 at cosine {_NEAR}, half copies of the others, at cosines from there "
        f"to 1; measured on {_SAMPLE:,}; brute_force: on all; speedup: fitting the cells included",
        _cells,
    ),
    Figure(
        "cosine_cells_1m_s",
        "s",
        "<= 240",
        f"nothing: {_MANY:,} × 512 of the same kind, fitting the cells included; fails if less than {_FOUND} of the "
        f"near pairs are found, by {_SAMPLE:,} rows compared with all"
        + ("" if FULL else "; RAISONNE_BENCH_FULL=1 measures a million"),
        _many_in_cells,
    ),
)
