"""The guard against a million training rows: latency, memory, loading, growth."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.benchmarks import guard_evasion, guard_lookups, guard_peers, guard_service
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, seconds
from tests.benchmarks.guard_data import FAST, ROWS, bundle, encoder, pictures
from transforms.guard import Guard, Looks

_ACCURATE = "sscd"
_CHECKS = {"hash": 1_000, "full": 300}
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
def _hash_times(rows: int = ROWS) -> npt.NDArray[np.float64]:
    with bundle(rows) as folder:
        return _timed(Guard.load(folder), _CHECKS["hash"])


@cache
def _full() -> dict[str, float]:
    found: dict[str, float] = {}
    for name in (FAST, _ACCURATE):
        with bundle(ROWS, name) as folder:
            guard, every = (Guard.load(folder, encoder(name), looks=Looks(every_view=each)) for each in (False, True))
            start = time.process_time()
            taken = _timed(guard, _CHECKS["full"])
            found[f"processor {name}"] = 1000 * (time.process_time() - start) / _CHECKS["full"]
            found[f"p50 {name}"], found[name] = np.percentile(taken, (50, 99)).tolist()
            found[f"every view {name}"] = float(np.median(_timed(every, _CHECKS["full"] // 3)))
            if name == FAST:
                found["load"] = min(seconds(lambda f=folder: Guard.load(f, encoder(FAST))) for _ in range(3))
                found["size"] = sum(path.stat().st_size for path in folder.iterdir()) / ROWS
                views = len(guard._embeddings._views)  # type: ignore[union-attr]
                found["encode"] = _encode(views)
    return found


def _encode(views: int) -> float:
    model = encoder(FAST)
    prepared = [model.prepare(picture) for picture in pictures(views)]
    return 1000 * min(seconds(lambda: model.embed(prepared)) for _ in range(5))


def _hash(percentile: float) -> Measured:
    taken = _hash_times()
    return Measured(float(np.percentile(taken, percentile)), {"checks": len(taken), "worst": float(taken.max())})


def _full_p50() -> Measured:
    found = _full()
    parts = {
        "with every view in full": found[f"every view {FAST}"],
        "processor ms": found[f"processor {FAST}"],
        "the encoder alone at its fastest, every view": found["encode"],
    }
    return Measured(found[f"p50 {FAST}"], parts)


def _full_accurate() -> Measured:
    found = _full()
    parts = {
        "p50": found[f"p50 {_ACCURATE}"],
        "p50 with every view in full": found[f"every view {_ACCURATE}"],
        "processor ms": found[f"processor {_ACCURATE}"],
    }
    return Measured(found[_ACCURATE], parts)


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
    with bundle(1_000, name) as small, bundle(ROWS, name) as large:
        command = [sys.executable, "-c", _RESIDENT, str(small), str(large), name or ""]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise NotMeasured(done.stderr.strip().splitlines()[-1])
        size = sum(path.stat().st_size for path in large.iterdir()) / ROWS
    return Measured(float(done.stdout), {"bytes a row on disk": size})


def _growth() -> Measured:
    p50 = {rows: float(np.median(_hash_times(rows))) for rows in _SIZES}
    exponent = np.polyfit(np.log(list(p50)), np.log(list(p50.values())), 1)[0]
    return Measured(float(exponent), {f"ms at {rows:,}": value for rows, value in p50.items()})


def _load() -> Measured:
    found = _full()
    return Measured(found["load"], {"MB": found["size"] * ROWS / 1e6})


_VIEWS = "12 views, small ones first,"
_AGAINST = f"{ROWS:,} different training pictures, made-up fingerprints; a decoded picture of 512 × 512, one at a time"

FIGURES: Sequence[Figure] = (
    Figure("guard_hash_p50_ms", "ms", "<= 3", f"{_AGAINST}; SHA-256 of the pixels, PDQ in 8 turns", lambda: _hash(50)),
    Figure("guard_hash_p99_ms", "ms", "<= 10", f"{_AGAINST}; SHA-256 of the pixels, PDQ in 8 turns", lambda: _hash(99)),
    Figure("guard_full_p50_ms", "ms", "<= 40", f"{_AGAINST}; {_VIEWS} by {FAST}", _full_p50),
    Figure("guard_full_p99_ms", "ms", "<= 90", f"{_AGAINST}; {_VIEWS} by {FAST}", lambda: Measured(_full()[FAST])),
    Figure("guard_full_sscd_p99_ms", "ms", "<= 150", f"{_AGAINST}; {_VIEWS} by {_ACCURATE}", _full_accurate),
    Figure(
        "guard_bytes_per_row_hash",
        "bytes",
        "<= 64",
        f"{ROWS:,} rows: what loading and 60 checks add to the resident memory of a process, over a bundle of 1,000",
        lambda: _bytes_per_row(None),
    ),
    Figure(
        "guard_bytes_per_row_full",
        "bytes",
        "<= 200",
        f"{ROWS:,} rows, with embeddings: as above",
        lambda: _bytes_per_row(FAST),
    ),
    Figure("guard_load_s", "s", "<= 2", f"{ROWS:,} rows, with embeddings, all checksums verified; files cached", _load),
    Figure(
        "guard_hash_growth",
        "exponent",
        "reported",
        f"p50 by hashes at {', '.join(map('{:,}'.format, _SIZES))}",
        _growth,
    ),
    *guard_evasion.FIGURES,
    *guard_lookups.FIGURES,
    *guard_peers.FIGURES,
    *guard_service.FIGURES,
)
