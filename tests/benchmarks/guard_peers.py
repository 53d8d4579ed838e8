"""The guard's two searches beside faiss, on the same queries in one run, with the recall of each."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks.figures import Figure, Measured, NotMeasured, fastest, say, seconds
from tests.benchmarks.guard_data import DIMENSION, FAST, ROWS, bundle, hashes, vector_batches
from transforms.guard import Bundle
from transforms.guard.embedding_search import SCORED, best_scores, candidates
from transforms.joins.cosine import sketches
from transforms.joins.hamming import scan as hamming_scan
from transforms.joins.hamming.workers import Workers

_ASKED = 64  # queries


def _turns(known: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Return queries of 8 hashes, of which one in two is near to a known one."""
    rng, asked = np.random.default_rng(9), []
    for number in range(_ASKED):
        turns = rng.integers(0, 256, (8, 32), np.uint8)
        if number % 2:
            bits = np.unpackbits(known[rng.integers(len(known))])
            bits[rng.choice(256, number % 32, replace=False)] ^= 1
            turns[number % 8] = np.packbits(bits)
        asked.append(turns)
    return asked


@cache
def _beside_faiss() -> dict[str, float]:
    import faiss

    known = hashes(ROWS, 2)
    words, asked = hamming_scan.words(known), _turns(known)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(known)
    multi = faiss.IndexBinaryMultiHash(256, 16, 16)
    multi.nflip = 1  # 16 bands that tolerate one bit each miss nothing within 31
    say(f"  faiss MultiHash built in {seconds(lambda: multi.add(known)):.0f} s")

    def scan() -> list[set[int]]:
        return [set(hamming_scan.find_near(words, turns, 31).row.tolist()) for turns in asked]

    def searched(index: object) -> Callable[[], list[set[int]]]:
        return lambda: [set(index.range_search(turns, 32)[2].tolist()) for turns in asked]  # type: ignore[attr-defined]

    peers = {"ours": scan, "flat": searched(flat), "multi": searched(multi)}
    answers = {name: work() for name, work in peers.items()}
    taken = fastest(peers, rounds=3)
    return _measured(taken, answers, answers["flat"])


def _measured(
    taken: Mapping[str, float], answers: Mapping[str, list[set[int]]], true: list[set[int]]
) -> dict[str, float]:
    """Return the milliseconds of a query and the recall of each peer."""
    parts = {f"{name} ms": 1000 * time_ / len(true) for name, time_ in taken.items()}
    for name, found in answers.items():
        hits = sum(len(some & all_) for some, all_ in zip(found, true, strict=True))
        parts[f"{name} recall"] = hits / sum(map(len, true))
    return parts


def _hash_vs(name: str) -> Measured:
    try:
        found = _beside_faiss()
    except ImportError:
        raise NotMeasured("faiss is not installed; pip install '.[bench]'") from None
    parts = {key: value for key, value in found.items() if key.startswith(("ours", name))}
    return Measured(found["ours ms"] / found[f"{name} ms"], parts)


def _views(known: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """Return queries of 11 views, four of which lie at a cosine of 0.5 to 0.95 to a known vector each."""
    rng, asked = np.random.default_rng(5), []
    for _ in range(_ASKED):
        views = rng.standard_normal((11, DIMENSION), dtype=np.float32)
        views /= np.linalg.norm(views, axis=1, keepdims=True)
        for view in range(4):
            source, cosine = known[rng.integers(len(known))], rng.uniform(0.5, 0.95)
            other = views[view] - (views[view] @ source) * source
            views[view] = cosine * source + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
        asked.append(views)
    return asked


def _embedding_vs_ivf() -> Measured:
    try:
        import faiss
    except ImportError:
        raise NotMeasured("faiss is not installed; pip install '.[bench]'") from None
    asked, true, index = _filled(faiss.index_factory(DIMENSION, "IVF1024,SQ8", faiss.METRIC_INNER_PRODUCT))
    with bundle(ROWS, FAST) as folder:
        opened = Bundle.open(folder)
        words, codes = opened.array("sketch_words"), opened.row_file("vectors")
        radius, cores = sketches.radius(0.5, 512), len(os.sched_getaffinity(0))
        workers = Workers(ThreadPoolExecutor(cores), cores)

        def ours() -> list[set[int]]:
            found = []
            for views in asked:
                rows = candidates(words, views, radius, SCORED, workers)
                found.append(set(rows[best_scores(codes, rows, views)[0] >= 0.5].tolist()))
            return found

        def ivf(probes: int) -> Callable[[], list[set[int]]]:
            def search() -> list[set[int]]:
                index.nprobe = probes
                return [set(index.range_search(views, 0.5)[2].tolist()) for views in asked]

            return search

        peers = {"ours": ours, "ivf 16": ivf(16), "ivf 128": ivf(128)}
        answers = {name: work() for name, work in peers.items()}
        taken = fastest(peers, rounds=2)
    return Measured(taken["ours"] / taken["ivf 16"], _measured(taken, answers, true))


def _filled(index: Any) -> tuple[list[npt.NDArray[np.float32]], list[set[int]], Any]:  # noqa: ANN401 -- faiss has no types
    """Return queries, what is truly near to each, and the index with all vectors; none of these stays beside it."""
    known = np.concatenate([vectors for _, vectors, _ in vector_batches(ROWS)])
    asked = _views(known)
    true = [{int(row) for row in np.flatnonzero((known @ views.T).max(axis=1) >= 0.5)} for views in asked]
    taken = seconds(lambda: index.train(known[:65_536])) + seconds(lambda: index.add(known))
    say(f"  faiss trained and filled in {taken:.0f} s")
    return asked, true, index


FIGURES = (
    Figure(
        "guard_hash_vs_faiss_flat",
        "ratio",
        "reported",
        f"faiss BinaryFlat, range search within 31 bits, {_ASKED} queries of 8 turns in {ROWS:,}",
        lambda: _hash_vs("flat"),
    ),
    Figure(
        "guard_hash_vs_faiss_multihash",
        "ratio",
        "reported",
        f"faiss BinaryMultiHash 16 × 16 bits, one flip, {_ASKED} queries of 8 turns in {ROWS:,}",
        lambda: _hash_vs("multi"),
    ),
    Figure(
        "guard_embedding_vs_faiss_ivf",
        "ratio",
        "reported",
        f"faiss IVF1024,SQ8 with 16 probes, {_ASKED} queries of 11 views in {ROWS:,}, pairs of cosine 0.5 and more",
        _embedding_vs_ivf,
    ),
)
