"""Cosine joins: how much of the bare product's speed the exact one keeps, what the one in cells finds and saves."""

import time

import numpy as np
import numpy.typing as npt
import torch

from tests.benchmarks.data import vectors
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, fastest, say
from transforms import cosine_cells
from transforms.cosine_cells import Cells, measured_recall
from transforms.cosine_join import self_join
from transforms.cosine_scan import TILES

_ROWS, _GPU_ROWS, _COPIES = 100_000, 1_000_000, 100
_ROUNDS = 3 if FULL else 2
_CELL_ROWS, _CELLS, _PROBES, _SAMPLE, _NEAR = 200_000 if FULL else 50_000, 256, 8, 1_000, 0.6


def _planted(count: int) -> npt.NDArray[np.float32]:
    """Return random unit vectors of 512 numbers, one in _COPIES of them near another one (cosine 0.5 to 1)."""
    made = vectors(count).copy()
    rng = np.random.default_rng(5)
    copies = count // _COPIES
    noise = rng.standard_normal((copies, made.shape[1]), dtype=np.float32) / made.shape[1] ** 0.5
    made[-copies:] = made[:copies] + rng.uniform(0, 1.5, (copies, 1)).astype(np.float32) * noise
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def _clustered(count: int) -> npt.NDArray[np.float32]:
    """Return unit vectors of 512 numbers around count / 50 centres, most pairs of one centre at a cosine near 0.65.

    The centres lie around broader ones, as pictures of one kind do: cells have to cut through those.
    """
    rng = np.random.default_rng(6)

    def around(middle: npt.NDArray[np.float32], spread: float) -> npt.NDArray[np.float32]:
        noise = rng.standard_normal(middle.shape, dtype=np.float32) * np.float32(spread / middle.shape[1] ** 0.5)
        made = middle + noise
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    kinds = around(np.zeros((count // 1000, 512), np.float32), 1)
    centres = around(kinds[rng.integers(0, len(kinds), count // 50)], 1)
    return around(centres[rng.integers(0, len(centres), count)], 0.73)


def _bare(rows: npt.NDArray[np.float32]) -> None:
    """Multiply the same tiles as the join, into the same memory, and look at none of them."""
    height, width = TILES["cpu"]
    known, scores = torch.from_numpy(rows), torch.empty(height * width)
    for column in range(0, len(rows), width):
        right = known[column : column + width]
        for row in range(0, column + len(right) - 1, height):
            left = known[row : min(row + height, column + len(right) - 1)]
            torch.mm(left, right.T, out=scores[: len(left) * len(right)].view(len(left), len(right)))


def _efficiency() -> Measured:
    if torch.cuda.is_available():
        raise NotMeasured("the join runs on CUDA here; cosine_gpu_share is its figure")
    rows, pairs = _planted(_ROWS), set()
    best = fastest(
        {
            "ours": lambda: pairs.add(sum(len(batch.left) for batch in self_join(rows, 0.5))),
            "matmul": lambda: _bare(rows),
        },
        rounds=_ROUNDS,
    )
    (found,) = pairs
    return Measured(best["matmul"] / best["ours"], {"pairs": found, "join_s": best["ours"]})


def _cells() -> Measured:
    rows = _clustered(_CELL_ROWS)
    cells = Cells.fit(rows, _CELLS, 0, 64 * _CELLS)
    pairs = {}

    def count(name: str, batches) -> None:  # noqa: ANN001
        pairs[name] = sum(len(batch.left) for batch in batches)

    best = fastest(
        {
            "cells": lambda: count("cells", cosine_cells.self_join(rows, _NEAR, cells, _PROBES)),
            "exact": lambda: count("exact", self_join(rows, _NEAR)),
        },
        rounds=_ROUNDS,
    )
    start = time.perf_counter()
    recall = measured_recall(rows, _NEAR, cells, _PROBES, _SAMPLE, 0)
    say(f"  recall measured in {time.perf_counter() - start:.1f} s")
    if recall.share is None:
        raise AssertionError("no pair of the clustered vectors is near")
    parts = {"low": recall.low, "high": recall.high, "brute_force": pairs["cells"] / pairs["exact"]}
    fewer = measured_recall(rows, _NEAR, cells, 1, _SAMPLE, 0)
    parts["one_probe"] = fewer.found / fewer.true
    parts |= {"pairs": pairs["exact"], "speedup": best["exact"] / best["cells"], "cells": _CELLS, "probes": _PROBES}
    return Measured(recall.share, parts)


def _gpu_share() -> Measured:
    if not torch.cuda.is_available():
        raise NotMeasured("no CUDA device")
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
        f"the same tiles' matrix products in PyTorch on the CPU, {_ROWS:,} × 512, nothing compared",
        _efficiency,
    ),
    Figure(
        "cosine_cells_recall",
        "share",
        "reported",
        f"the exact join of {_CELL_ROWS:,} × 512 clustered vectors at cosine {_NEAR}; measured on {_SAMPLE:,} of them",
        _cells,
    ),
    Figure(
        "cosine_gpu_share",
        "ratio",
        "reported",
        f"cuBLAS's float32 rate (no TF32) at 8192³ in the same process, {_GPU_ROWS:,} × 512",
        _gpu_share,
    ),
)
