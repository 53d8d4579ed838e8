"""The guard against a million training rows: latency, memory, loading, growth, and faiss on the same queries."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks import guard_service
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, fastest, say, seconds
from tests.benchmarks.guard_data import DIMENSION, bundle, encoder, hashes, pictures, vector_batches
from transforms import hamming_scan, sketches
from transforms.guard import Bundle, Guard
from transforms.guard.nearest import SCORED, best_scores, candidates

_ROWS = 1_000_000
_FAST, _ACCURATE = "sscd_distilled", "sscd"
_CHECKS = {"hash": 1_000, "full": 120}
_ASKED = 64  # queries of the comparisons with faiss
_SIZES = (100_000, 1_000_000, 10_000_000) if FULL else (100_000, 1_000_000)


def _timed(guard: Guard, checks: int) -> npt.NDArray[np.float64]:
    """Return the milliseconds of checks of decoded pictures, one after the other, the first ones left out."""
    shown = pictures(40)
    for picture in shown[:5]:
        guard.check(picture)
    taken = []
    for number in range(checks):
        picture = shown[number % len(shown)]
        start = time.perf_counter()
        verdict = guard.check(picture)
        taken.append((time.perf_counter() - start) * 1000)
        assert verdict.decision == "allow", verdict.reason  # every step was taken
    return np.array(taken)


@cache
def _hash_times(rows: int = _ROWS) -> npt.NDArray[np.float64]:
    with bundle(rows) as folder:
        return _timed(Guard.load(folder), _CHECKS["hash"])


@cache
def _full() -> dict[str, float]:
    found: dict[str, float] = {}
    for name in (_FAST, _ACCURATE):
        with bundle(_ROWS, name) as folder:
            guard = Guard.load(folder, encoder(name))
            found[name] = float(np.percentile(_timed(guard, _CHECKS["full"]), 99))
            if name == _FAST:
                found["load"] = min(seconds(lambda f=folder: Guard.load(f, encoder(_FAST))) for _ in range(3))
                found["size"] = sum(path.stat().st_size for path in folder.iterdir()) / _ROWS
                views = len(guard._nearest._views)  # type: ignore[union-attr]
                found["encode"] = _encode(views)
    return found


def _encode(views: int) -> float:
    model = encoder(_FAST)
    prepared = [model.prepare(picture) for picture in pictures(views)]
    return 1000 * min(seconds(lambda: model.embed(prepared)) for _ in range(5))


def _hash(percentile: float) -> Measured:
    taken = _hash_times()
    return Measured(float(np.percentile(taken, percentile)), {"checks": len(taken), "worst": float(taken.max())})


def _full_p99() -> Measured:
    found = _full()
    parts = {"ms with sscd": found[_ACCURATE], "ms of the encoder alone": found["encode"]}
    return Measured(found[_FAST], parts)


_RESIDENT = """
import sys
from tests.benchmarks.guard import resident
resident(sys.argv[1], sys.argv[2], sys.argv[3] or None)
"""


def resident(small: str, large: str, name: str | None) -> None:
    """Print the bytes a row that loading a bundle and 60 checks add to a process that has done so with a small one."""

    def checked(folder: str) -> tuple[Guard, int]:
        guard = Guard.load(folder, encoder(name) if name else None)
        for picture in pictures(60):
            guard.check(picture)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return guard, pages * os.sysconf("SC_PAGE_SIZE")

    kept, before = checked(small)
    other, after = checked(large)
    rows = other.bundle.searched.rows - kept.bundle.searched.rows
    print((after - before) / rows)


def _bytes_per_row(name: str | None) -> Measured:
    with bundle(1_000, name) as small, bundle(_ROWS, name) as large:
        command = [sys.executable, "-c", _RESIDENT, str(small), str(large), name or ""]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise NotMeasured(done.stderr.strip().splitlines()[-1])
        size = sum(path.stat().st_size for path in large.iterdir()) / _ROWS
    return Measured(float(done.stdout), {"bytes a row on disk": size})


def _growth() -> Measured:
    p50 = {rows: float(np.median(_hash_times(rows))) for rows in _SIZES}
    exponent = np.polyfit(np.log(list(p50)), np.log(list(p50.values())), 1)[0]
    return Measured(float(exponent), {f"ms at {rows:,}": value for rows, value in p50.items()})


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

    known = hashes(_ROWS, 2)
    words, asked = hamming_scan.words(known), _turns(known)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(known)
    multi = faiss.IndexBinaryMultiHash(256, 16, 16)
    multi.nflip = 1  # 16 bands that tolerate one bit each miss nothing within 31
    say(f"  faiss MultiHash built in {seconds(lambda: multi.add(known)):.0f} s")

    def scan() -> list[set[int]]:
        return [set(hamming_scan.within(words, turns, 31).row.tolist()) for turns in asked]

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
        raise NotMeasured("faiss is not installed; pip install raisonne[bench]") from None
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
        raise NotMeasured("faiss is not installed; pip install raisonne[bench]") from None
    asked, true, index = _filled(faiss.index_factory(DIMENSION, "IVF1024,SQ8", faiss.METRIC_INNER_PRODUCT))
    with bundle(_ROWS, _FAST) as folder:
        opened = Bundle.open(folder)
        words, codes = opened.array("sketch_words"), opened.row_file("vectors")
        radius = sketches.radius(0.5, 512)

        def ours() -> list[set[int]]:
            found = []
            for views in asked:
                rows = candidates(words, views, radius, SCORED)
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
    known = np.concatenate([vectors for _, vectors, _ in vector_batches(_ROWS)])
    asked = _views(known)
    true = [{int(row) for row in np.flatnonzero((known @ views.T).max(axis=1) >= 0.5)} for views in asked]
    taken = seconds(lambda: index.train(known[:65_536])) + seconds(lambda: index.add(known))
    say(f"  faiss trained and filled in {taken:.0f} s")
    return asked, true, index


def _load() -> Measured:
    found = _full()
    return Measured(found["load"], {"MB": found["size"] * _ROWS / 1e6})


_AT = ", ".join(f"{rows:,}" for rows in _SIZES)
_AGAINST = f"{_ROWS:,} different training pictures, made-up fingerprints; a decoded picture of 512 × 512, one at a time"

FIGURES: Sequence[Figure] = (
    Figure("guard_hash_p50_ms", "ms", "<= 3", f"{_AGAINST}; SHA-256 of the pixels, PDQ in 8 turns", lambda: _hash(50)),
    Figure("guard_hash_p99_ms", "ms", "<= 10", f"{_AGAINST}; SHA-256 of the pixels, PDQ in 8 turns", lambda: _hash(99)),
    Figure("guard_full_p99_ms", "ms", "<= 120", f"{_AGAINST}; with 11 views by {_FAST}", _full_p99),
    Figure(
        "guard_bytes_per_row_hash",
        "bytes",
        "<= 64",
        f"{_ROWS:,} rows: what loading and 60 checks add to the resident memory of a process, over a bundle of 1,000",
        lambda: _bytes_per_row(None),
    ),
    Figure(
        "guard_bytes_per_row_full",
        "bytes",
        "<= 200",
        f"{_ROWS:,} rows, with embeddings: as above",
        lambda: _bytes_per_row(_FAST),
    ),
    Figure(
        "guard_load_s", "s", "<= 2", f"{_ROWS:,} rows, with embeddings, all checksums verified; files cached", _load
    ),
    Figure(
        "guard_hash_growth",
        "exponent",
        "reported",
        f"p50 by hashes at {', '.join(map('{:,}'.format, _SIZES))}",
        _growth,
    ),
    Figure(
        "guard_hash_vs_faiss_flat",
        "ratio",
        "reported",
        f"faiss BinaryFlat, range search within 31 bits, {_ASKED} queries of 8 turns in {_ROWS:,}",
        lambda: _hash_vs("flat"),
    ),
    Figure(
        "guard_hash_vs_faiss_multihash",
        "ratio",
        "reported",
        f"faiss BinaryMultiHash 16 × 16 bits, one flip, {_ASKED} queries of 8 turns in {_ROWS:,}",
        lambda: _hash_vs("multi"),
    ),
    Figure(
        "guard_embedding_vs_faiss_ivf",
        "ratio",
        "reported",
        f"faiss IVF1024,SQ8 with 16 probes, {_ASKED} queries of 11 views in {_ROWS:,}, pairs of cosine 0.5 and more",
        _embedding_vs_ivf,
    ),
    *guard_service.FIGURES,
)
