"""The exact cosine join: how much of the bare matrix product's speed it keeps."""

import torch

from tests.benchmarks.data import vectors
from tests.benchmarks.figures import FULL, Figure, Measured, fastest
from transforms.cosine_join import self_join

_ROWS, _BLOCK = 100_000 if FULL else 20_000, 4096


def _efficiency() -> Measured:
    made = vectors(_ROWS)
    rows = torch.from_numpy(made)

    def bare() -> None:
        for top in range(0, _ROWS, _BLOCK):
            for start in range(top, _ROWS, _BLOCK):
                rows[top : top + _BLOCK] @ rows[start : start + _BLOCK].T

    best = fastest({"ours": lambda: sum(len(p[0]) for p in self_join(made, 0.5)), "matmul": bare}, rounds=3)
    return Measured(best["matmul"] / best["ours"])


FIGURES = (
    Figure(
        "cosine_efficiency",
        "ratio",
        ">= 0.8",
        f"the same blocks' matrix products in PyTorch on the CPU, {_ROWS:,} × 512, nothing compared",
        _efficiency,
    ),
)
