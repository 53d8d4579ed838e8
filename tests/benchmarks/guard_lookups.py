"""Hashes looked up in the guard's index of many, beside faiss's binary indexes in the same run."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import numpy.typing as npt

from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, say, seconds
from tests.benchmarks.guard_data import hashes
from transforms.guard.hash_index import blocks
from transforms.guard.hash_index.blocks import BlockArrays, HashIndex
from transforms.joins.hamming import scan

_MOST = 10_000_000 if FULL else 1_000_000
_SIZES = (1_000_000, 10_000_000) if FULL else (100_000, 1_000_000)
_ASKED, _SCANNED, _BESIDE = 4_000, 64, 64  # look-ups of 8 hashes: timed, held against a scan, and asked of faiss

type Queries = Sequence[npt.NDArray[np.uint8]]


@cache
def _index(rows: int) -> HashIndex:
    words = scan.words(hashes(rows, 2))
    parts = [blocks.build(word) for word in words]
    return HashIndex(words, BlockArrays(*map(np.stack, zip(*parts, strict=True))))


def _queries(index: HashIndex, count: int) -> Queries:
    """Return the turns of pictures, one of every second picture near to a known hash."""
    rng, asked = np.random.default_rng(9), []
    for number in range(count):
        turns = rng.integers(0, 256, (8, 32), np.uint8)
        if number % 2:
            known = np.ascontiguousarray(index.words[:, rng.integers(index.words.shape[1])]).view(np.uint8)
            bits = np.unpackbits(known)
            bits[rng.choice(256, number % 32, replace=False)] ^= 1
            turns[number % 8] = np.packbits(bits)
        asked.append(turns)
    return asked


def _rate(index: HashIndex, asked: Queries) -> tuple[float, float, float]:
    """Return look-ups a second on all cores, and the milliseconds of one alone: p50 and p99."""
    cores = len(os.sched_getaffinity(0))
    taken = []
    for turns in asked[:500]:
        start = time.perf_counter()
        index.find_near(turns, 31)
        taken.append(1000 * (time.perf_counter() - start))

    def some(part: Queries) -> None:
        for turns in part:
            index.find_near(turns, 31)

    with ThreadPoolExecutor(cores) as pool:
        spent = seconds(lambda: list(pool.map(some, [asked[each::cores] for each in range(cores)])))
    return len(asked) / spent, *np.percentile(taken, (50, 99)).tolist()


def _recall(index: HashIndex, asked: Queries) -> float:
    """Return the share of what a scan finds that the index finds too."""
    found = true = 0
    for turns in asked:
        near = set(scan.find_near(index.words, turns, 31).row.tolist())
        found, true = found + len(near & set(index.find_near(turns, 31).row.tolist())), true + len(near)
    return found / true


def _lookups() -> Measured:
    parts: dict[str, float] = {}
    for rows in _SIZES:
        index = _index(rows)
        asked = _queries(index, _ASKED)
        index.find_near(asked[0], 31)
        rate, p50, p99 = _rate(index, asked)
        parts |= {f"at {rows:,}": rate, f"ms of one at {rows:,}": p50, f"p99 at {rows:,}": p99}
    arrays = index.arrays or ()
    parts["recall"] = _recall(index, asked[:_SCANNED])
    parts["bytes a row"] = (sum(each.nbytes for each in arrays) + index.words.nbytes) / _MOST + 4  # and the cluster
    scanned = seconds(lambda: [scan.find_near(index.words, turns, 31) for turns in asked[:_SCANNED]])
    parts["scans a second and core"] = _SCANNED / scanned
    return Measured(rate, parts)


def _beside_faiss() -> Measured:
    try:
        import faiss
    except ImportError:
        raise NotMeasured("faiss is not installed; pip install '.[bench]'") from None
    index, known = _index(_MOST), hashes(_MOST, 2)
    asked = _queries(index, _BESIDE)
    multi = faiss.IndexBinaryMultiHash(256, 16, 16)
    multi.nflip = 1  # 16 bands that tolerate one bit each miss nothing within 31
    say(f"  faiss MultiHash built in {seconds(lambda: multi.add(known)):.0f} s")
    flat = faiss.IndexBinaryFlat(256)
    flat.add(known)
    peers: dict[str, Callable[[npt.NDArray[np.uint8]], object]] = {
        "ours": lambda turns: index.find_near(turns, 31),
        "flat": lambda turns: flat.range_search(turns, 32),
        "multihash": lambda turns: multi.range_search(turns, 32),
    }
    rates = {}
    for name, work in peers.items():
        work(asked[0])
        rates[name] = _BESIDE / seconds(lambda work=work: [work(turns) for turns in asked])  # type: ignore[misc]
    return Measured(rates["ours"] / max(rates["flat"], rates["multihash"]), rates)


_OF = f"look-ups of 8 turns within 31 bits in {_MOST:,} made-up hashes"
FIGURES = (
    Figure("guard_lookups_per_s", "look-ups a second", ">= 4000", f"{_OF}, all cores", _lookups),
    Figure(
        "guard_lookups_vs_faiss", "ratio", "reported", f"{_OF}, one at a time, to faiss's quicker index", _beside_faiss
    ),
)
