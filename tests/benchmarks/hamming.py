"""The exact Hamming join: nothing missed, and its time beside its peers, ten times the rows, and skewed rows."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import duckdb
import faiss
import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lance.vector import find_duplicate_pairs

from tests.benchmarks.alone import alone, peak_gb
from tests.benchmarks.data import flip_bits
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, fastest, say, seconds
from transforms.hashing.digest_tables import count_leaders, firsts, leaders
from transforms.joins.hamming.join import self_join

_RADIUS, _ROWS, _ASKED = 31, 1_000_000, 300
_DUCKDB_ROWS = _ROWS if FULL else 200_000
_FAISS_ASKED, _IMAGEDEDUP_ROWS = 2_000, 500
_WARM_ROWS, _MANY = 100_000, 10 * _ROWS
Rows = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Planted:
    """Hashes, and pairs of them that were made close. distance: the bits in which they differ."""

    rows: Rows
    source: npt.NDArray[np.int64]
    copy: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]


@cache
def _planted(count: int) -> Planted:
    """Return uniform hashes, the last tenth of them copies of others with 0 to 40 bits flipped."""
    rng = np.random.default_rng(7)
    rows = rng.integers(0, 256, (count, 32), np.uint8)
    copy = np.arange(count - count // 10, count)
    source = rng.integers(0, copy[0], len(copy))
    bits = np.arange(len(copy)) % 41
    flip_bits(rows, source, copy, bits, rng)
    return Planted(rows, source, copy, bits)


def _join(rows: Rows) -> int:
    return sum(len(pairs) for pairs in self_join(rows, _RADIUS))


@cache
def _compiled() -> None:
    _join(_planted(_WARM_ROWS).rows)
    _collapsed(_planted(_WARM_ROWS).rows)


def _collapsed(rows: Rows) -> Rows:
    group = firsts(rows, rows.nbytes)
    return rows[leaders(group, np.empty(count_leaders(group), np.uint32))]


@cache
def _million() -> float:
    _compiled()
    rows = _planted(_ROWS).rows
    taken = min(seconds(lambda: _join(rows)) for _ in range(3))
    say(f"  {len(rows):,} hashes joined in {taken:.2f} s")
    return taken


def _recall() -> Measured:
    _compiled()
    made = _planted(_ROWS)
    batches = list(self_join(made.rows, _RADIUS))
    left, right = (np.concatenate([getattr(pairs, side) for pairs in batches]) for side in ("left", "right"))
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    near = made.distance <= _RADIUS
    true = set(zip(made.source[near].tolist(), made.copy[near].tolist(), strict=True))
    planted, missed = len(true), len(true - found)
    rng = np.random.default_rng(1)
    asked = set(rng.choice(made.copy, _ASKED // 2).tolist()) | set(rng.choice(len(made.rows), _ASKED // 2).tolist())
    words, brute = made.rows.view(np.uint64), set()
    for a in asked:
        distance = np.bitwise_count(words ^ words[a]).sum(axis=1)
        brute |= {(min(a, b), max(a, b)) for b in np.flatnonzero(distance <= _RADIUS).tolist() if a != b}
    wrong = {pair for pair in found if not asked.isdisjoint(pair)} - brute
    if wrong or len(found) != len(left):
        raise AssertionError(f"the join reports {len(wrong)} pairs that are too far, {len(left) - len(found)} twice")
    true |= brute
    parts = {"planted": planted, "planted_missed": missed, "brute_force": len(brute), "join_s": _million()}
    return Measured(len(true & found) / len(true), parts)


_BANDS = """
    with bands as (
        select id, w0, w1, w2, w3, band, (words[band // 4 + 1] >> (16 * (band % 4))) & 65535 as value
        from hashes, range(16) as bands(band)
    ), probes as (
        select bands.* exclude (value), case when bit = 16 then value else xor(value, 1::ubigint << bit) end as value
        from bands, range(17) as bits(bit)
    )
    select count(*) from (
        select distinct a.id, b.id
        from probes as a join bands as b on a.band = b.band and a.value = b.value and a.id < b.id
        where bit_count(xor(a.w0, b.w0))::integer + bit_count(xor(a.w1, b.w1))
            + bit_count(xor(a.w2, b.w2)) + bit_count(xor(a.w3, b.w3)) <= 31
    )"""


def _duckdb() -> Measured:
    _compiled()
    rows = _planted(_DUCKDB_ROWS).rows
    words = rows.view(np.uint64)
    arrow = pa.table({"id": np.arange(len(rows)), **{f"w{i}": words[:, i] for i in range(4)}})
    with duckdb.connect() as con:
        con.register("arrow", arrow)
        con.execute("create table hashes as select *, [w0, w1, w2, w3] as words from arrow")
        counts: dict[str, int] = {}
        best = fastest(
            {
                "ours": lambda: counts.update(ours=_join(rows)),
                "DuckDB": lambda: counts.update(theirs=con.execute(_BANDS).fetchall()[0][0]),
            },
            rounds=1,
        )
    if counts["ours"] != counts["theirs"]:
        raise AssertionError(f"DuckDB finds other pairs: {counts}")
    return Measured(best["DuckDB"] / best["ours"], {"ours_s": best["ours"], "duckdb_s": best["DuckDB"]})


def _pairs_by_lance(rows: Rows, folder: str) -> Callable[[], int]:
    """Write a dataset; return what indexes it and counts the pairs that Lance finds."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 32)
    dataset = lance.write_dataset(pa.table({"pdq": column}), str(Path(folder, f"{len(rows)}.lance")))

    def find() -> int:
        dataset.create_index("pdq", "IVF_FLAT", metric="hamming", num_partitions=64)
        with find_duplicate_pairs(lance.dataset(dataset.uri), "pdq", _RADIUS) as pairs:
            return sum(len(batch) for batch in pairs)

    return find


def _lance() -> Measured:
    rows, counts = _planted(_ROWS).rows, dict[str, int]()
    _compiled()
    with tempfile.TemporaryDirectory() as folder:
        try:
            _pairs_by_lance(_planted(_WARM_ROWS).rows, folder)()  # as `_compiled` is for ours
            theirs = _pairs_by_lance(rows, folder)
            best = fastest(
                {"ours": lambda: counts.update(ours=_join(rows)), "Lance": lambda: counts.update(theirs=theirs())},
                rounds=1,
            )
        except (OSError, ValueError) as error:
            raise NotMeasured(f"Lance refuses: {str(error)[:160]}") from None
    parts = {"ours_s": best["ours"], "lance_s": best["Lance"], "lance_recall": counts["theirs"] / counts["ours"]}
    return Measured(best["ours"] / best["Lance"], parts)


def _faiss() -> Measured:
    _compiled()
    rows = _planted(_ROWS).rows
    mine: list[npt.NDArray[np.int64]] = []
    index = faiss.IndexBinaryMultiHash(256, 16, 16)
    index.nflip = 1
    asked, found = rows[-_FAISS_ASKED:], 0

    def join() -> None:
        mine.extend(np.stack([pairs.left, pairs.right]) for pairs in self_join(rows, _RADIUS))

    def ask() -> None:
        nonlocal found
        ends, distances, _ = index.range_search(asked, _RADIUS + 1)
        found = int((distances[: ends[-1]] <= _RADIUS).sum())

    best = fastest({"ours": join, "build": lambda: index.add(rows), "search": ask}, rounds=1)
    searched = best["search"] * len(rows) / len(asked)
    # Each end asks, and finds itself too.
    true = sum(int((pairs >= len(rows) - len(asked)).sum()) for pairs in mine) + len(asked)
    parts = {"ours_s": best["ours"], "faiss_build_s": best["build"], "faiss_search_s": searched}
    return Measured((best["build"] + searched) / best["ours"], parts | {"faiss_recall": found / true})


def _imagededup() -> Measured:
    _compiled()
    from imagededup.handlers.search.retrieval import HashEval
    from imagededup.methods import PHash

    rows = _planted(_IMAGEDEDUP_ROWS).rows.copy()
    rows[:, 0] |= 128  # it drops leading zeros of hashes beyond 64 bits
    named = {str(position): row.tobytes().hex() for position, row in enumerate(rows)}
    counts: dict[str, int] = {}

    def peer(method: str) -> Callable[[], None]:
        def search() -> None:
            found = HashEval(named, named, PHash.hamming_distance, False, _RADIUS, method).retrieve_results()
            counts[method] = sum(map(len, found.values())) // 2

        return search

    methods = ("bktree", "brute_force")
    best = fastest(
        {"ours": lambda: counts.update(ours=_join(rows))} | {method: peer(method) for method in methods}, rounds=1
    )
    if len(set(counts.values())) > 1:
        raise AssertionError(f"imagededup finds other pairs: {counts}")
    parts = {f"{name}_s": taken for name, taken in best.items()}
    return Measured(min(best[method] for method in methods) / best["ours"], parts)


@cache
def _alone(count: int) -> dict[str, float]:
    return alone(joined, count)


def joined(count: int) -> dict[str, float]:
    """Join so many hashes; return the seconds, and the memory that was held before."""
    _compiled()
    rows = _planted(count).rows
    made = peak_gb()
    pairs = 0

    def join() -> None:
        nonlocal pairs
        pairs = _join(rows)

    return {"s": seconds(join), "before_gb": made, "pairs": pairs}


def _growth() -> Measured:
    few, many = _alone(_ROWS), _alone(_MANY)
    parts = {"1m_s": few["s"], "1m_peak_gb": few["peak_gb"], "10m_s": many["s"], "10m_peak_gb": many["peak_gb"]}
    return Measured(float(np.log10(many["s"] / few["s"])), parts)


def _many_seconds() -> Measured:
    many = _alone(_MANY)
    return Measured(many["s"], {"pairs": many["pairs"]})


def _many_memory() -> Measured:
    many = _alone(_MANY)
    return Measured(many["peak_gb"], {"before_join_gb": many["before_gb"], "hashes_gb": 32 * _MANY / 1e9})


@cache
def _skewed() -> dict[str, float]:
    """Return the seconds of collapsing and joining uniform rows, rows that repeat, and rows alike in four bands."""
    _compiled()
    uniform = _planted(_ROWS).rows
    rng = np.random.default_rng(5)
    repeated, banded = uniform.copy(), uniform.copy()
    often = rng.random(_ROWS) < 0.3
    repeated[often] = rng.integers(0, 256, (100, 32), np.uint8)[rng.integers(0, 100, often.sum())]
    banded.view(np.uint16)[::50, :4] = 0

    def whole(rows: Rows) -> Callable[[], int]:
        return lambda: _join(_collapsed(rows))

    peers = {"uniform": uniform, "repeated": repeated, "banded": banded}
    return fastest({name: whole(rows) for name, rows in peers.items()}, rounds=3)


def _skew(name: str) -> Measured:
    best = _skewed()
    return Measured(best[name] / best["uniform"], {"uniform_s": best["uniform"], f"{name}_s": best[name]})


FIGURES = (
    Figure(
        "hamming_recall",
        "share",
        ">= 1.0",
        f"{_ROWS:,} uniform hashes, one in ten 0 to 40 bits from another; brute force for {_ASKED} of them",
        _recall,
    ),
    Figure(
        "hamming_vs_lance",
        "ratio",
        "<= 0.3",
        f"Lance's IVF_FLAT index and find_duplicate_pairs, which omits pairs across partitions, {_ROWS:,} hashes; "
        f"both warmed on {_WARM_ROWS:,}, then one round each",
        _lance,
    ),
    Figure(
        "hamming_vs_duckdb",
        "ratio",
        ">= 30",
        f"16 bands of 16 bits and their neighbours as a DuckDB join, {_DUCKDB_ROWS:,} hashes"
        + ("" if FULL else f", not the {_ROWS:,} that RAISONNE_BENCH_FULL=1 measures"),
        _duckdb,
    ),
    Figure(
        "hamming_vs_faiss",
        "ratio",
        "reported",
        f"faiss' IndexBinaryMultiHash, 16 × 16 bits, one flip, {_ROWS:,} hashes; {_FAISS_ASKED:,} searched, scaled",
        _faiss,
    ),
    Figure(
        "hamming_vs_imagededup",
        "ratio",
        "reported",
        f"imagededup's faster of BK-tree and brute force, {_IMAGEDEDUP_ROWS:,} hashes",
        _imagededup,
    ),
    Figure("hamming_growth", "exponent", "reported", f"{_ROWS:,} hashes, to ten times as many", _growth),
    Figure(
        "hamming_10m_s",
        "s",
        "<= 120",
        f"the design's own example, 190 s on two cores; {_MANY:,} uniform hashes, one in ten near another",
        _many_seconds,
    ),
    Figure(
        "hamming_10m_gb",
        "GB",
        "<= 4",
        f"nothing: the most memory of the process that makes and joins {_MANY:,} hashes",
        _many_memory,
    ),
    Figure(
        "hamming_skew",
        "ratio",
        "<= 1.5",
        f"{_ROWS:,} uniform hashes; skewed: 30% of the rows share 100 hashes; equal ones collapsed, on both sides, "
        "which leaves 70% of the skewed rows",
        partial(_skew, "repeated"),
    ),
    Figure(
        "hamming_skew_banded",
        "ratio",
        "<= 1.5",
        f"{_ROWS:,} uniform hashes; banded: one row in 50 has equal 64 bits; equal hashes collapsed, on both sides",
        partial(_skew, "banded"),
    ),
)
