"""Matching generations: search beside the bare product, and pixel comparisons a second on one core."""

import time

import cv2
import numpy as np
import polars as pl
import torch

from tests.benchmarks.data import RULES, SAMPLE, TRUTH, originals, vectors
from tests.benchmarks.figures import Figure, Measured, fastest
from transforms.alignment.align import align
from transforms.alignment.keypoints import features
from transforms.alignment.policy import PixelLimits
from transforms.fingerprints.fingerprint import fingerprint
from transforms.fingerprints.views import VIEWS
from transforms.joins.cosine.tiles import device
from transforms.matches.neighbour_lists import FIRST
from transforms.matches.search import best_over_views

_QUERIES, _ROWS, _K = 1_000, 100_000, 10
_SEEN, _AT_ONCE = 200, 1_000  # generations with all views; views multiplied at once


def search(views: int, generations: int, k: int = _K) -> Measured:
    """Search beside the peer on the same device: the product of the same views, the best for each picture, and topk."""
    queries, rows = vectors(generations * views, seed=4), vectors(_ROWS)
    _, where = device()
    seen = queries.reshape(generations, views, -1)

    def bare() -> object:
        asked, known, found = torch.from_numpy(queries).to(where), torch.from_numpy(rows).to(where), []
        step = max(1, _AT_ONCE // views)
        for start in range(0, generations, step):  # all scores of many views would not fit into memory
            scores = asked[start * views : (start + step) * views] @ known.T
            best = scores.view(-1, views, _ROWS).amax(dim=1) if views > 1 else scores
            found.append([part.cpu() for part in best.topk(k, dim=1)])
        return found

    taken = fastest(
        {"ours": lambda: best_over_views(seen, rows, k), "matmul + topk": bare}, rounds=5 if views == 1 else 2
    )
    return Measured(taken["ours"] / taken["matmul + topk"], {"views": views, "seconds": round(taken["ours"], 2)})


def _new_tenth() -> Measured:
    """Let old generations, with the lists they have, meet a tenth of the pictures, beside meeting all of them."""
    queries, rows = vectors(_QUERIES, seed=4)[:, None, :], vectors(_ROWS)
    old = best_over_views(queries, rows[: -_ROWS // 10], FIRST)
    floor = np.array([found.score[-1] for found in old], np.float32)
    new = rows[-_ROWS // 10 :]
    taken = fastest(
        {
            "all": lambda: best_over_views(queries, rows, FIRST),
            "new": lambda: best_over_views(queries, new, FIRST, floor=floor),
        },
        rounds=3,
    )
    return Measured(taken["new"] / taken["all"], {"seconds": round(taken["new"], 3)})


def _verify() -> Measured:
    limits, known = PixelLimits(), list(originals().items())
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
        lambda: search(1, _QUERIES),
    ),
    Figure(
        "match_all_views_vs_matmul",
        "ratio",
        "<= 1.3",
        f"PyTorch's product of the same {len(VIEWS)} views of {_SEEN} generations, the best view a picture, and topk",
        lambda: search(len(VIEWS), _SEEN),
    ),
    Figure(
        "match_new_tenth",
        "ratio",
        "<= 0.15",
        f"{_QUERIES:,} old generations meeting all {_ROWS:,} pictures, rather than the new tenth of them",
        _new_tenth,
    ),
    Figure(
        "verify_pairs_per_s_core",
        "pairs/s",
        ">= 10",
        "nothing: processor time, the sample's generations each with its source and with another picture",
        _verify,
    ),
)
