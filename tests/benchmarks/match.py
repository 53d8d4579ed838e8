"""Matching generations: search beside the bare product, and pixel comparisons a second on one core."""

import time

import cv2
import polars as pl
import torch

from tests.benchmarks.data import RULES, SAMPLE, TRUTH, originals, vectors
from tests.benchmarks.figures import Figure, Measured, fastest
from transforms.alignment import Limits, align, features
from transforms.fingerprints import fingerprint
from transforms.search import best_over_views

_QUERIES, _ROWS, _K = 1_000, 100_000, 10


def _search() -> Measured:
    queries, rows = vectors(_QUERIES, seed=4), vectors(_ROWS)
    asked, known = torch.from_numpy(queries), torch.from_numpy(rows)
    best = fastest(
        {
            "ours": lambda: best_over_views(queries[:, None, :], rows, _K),
            "matmul + topk": lambda: (asked @ known.T).topk(_K, dim=1),
        },
        rounds=5,
    )
    ours, bare = best.values()
    return Measured(ours / bare)


def _verify() -> Measured:
    limits, known = Limits(), list(originals().items())
    truth = pl.read_csv(TRUTH / "generations.csv").filter(pl.col("picture").is_not_null() & (pl.col("picture") != ""))
    pairs = []
    for number, (file, picture) in enumerate(truth.select("file_name", "picture").iter_rows()):
        _, generation = fingerprint((SAMPLE / "generations" / file).read_bytes(), RULES)
        other, data = known[number % len(known)]
        sources = [originals()[picture]] if picture in originals() else []
        sources += [data] if other != picture else []
        pairs.append((generation, [p for p in (fingerprint(s, RULES)[1] for s in sources) if p is not None]))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    start = time.process_time()  # of all threads: seconds of one core
    for generation, sources in pairs:
        mine = features(generation, limits)
        for source in sources:
            align(mine, features(source, limits), limits)
    taken = time.process_time() - start
    cv2.setNumThreads(threads)
    return Measured(sum(len(sources) for _, sources in pairs) / taken)


FIGURES = (
    Figure(
        "match_vs_matmul",
        "ratio",
        "<= 1.3",
        f"PyTorch's matrix product and topk, {_QUERIES:,} × {_ROWS:,} × 512, one view each, {_K} kept",
        _search,
    ),
    Figure(
        "verify_pairs_per_s_core",
        "pairs/s",
        ">= 10",
        "nothing: processor time, the sample's generations each with its source and with another picture",
        _verify,
    ),
)
