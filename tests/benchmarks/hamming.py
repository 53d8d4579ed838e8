"""The exact Hamming join: nothing missed, and its time beside DuckDB, Lance, ten times the rows, and skewed rows."""

import tempfile
import time
from functools import cache
from pathlib import Path

import duckdb
import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lance.vector import find_duplicate_pairs

from tests.benchmarks.data import hashes
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, fastest, say, seconds
from transforms.hamming_join import self_join

_RADIUS, _ROWS, _ASKED = 31, 1_000_000, 300
_DUCKDB_ROWS = _ROWS if FULL else 200_000
_LANCE_ROWS = _ROWS if FULL else 200_000


def _join(rows: npt.NDArray[np.uint8]) -> int:
    return sum(len(pairs.left) for pairs in self_join(rows, _RADIUS))


@cache
def _compiled() -> None:
    _join(hashes(10_000))


@cache
def _million() -> float:
    _compiled()
    rows = hashes(_ROWS)
    taken = min(seconds(lambda: _join(rows)) for _ in range(2))
    say(f"  {len(rows):,} hashes joined in {taken:.2f} s")
    return taken


def _recall() -> Measured:
    _compiled()
    rows = hashes(_ROWS)
    found = {(a, b) for p in self_join(rows, _RADIUS) for a, b in zip(p.left.tolist(), p.right.tolist(), strict=True)}
    rng = np.random.default_rng(1)
    near = np.array(sorted(found))
    asked = np.unique(
        np.concatenate([rng.choice(near.ravel(), _ASKED // 2), rng.choice(len(rows), _ASKED // 2, replace=False)])
    )
    words, true = rows.view(np.uint64), set()
    for a in asked.tolist():
        distance = np.bitwise_count(words ^ words[a]).sum(axis=1)
        true |= {(min(a, b), max(a, b)) for b in np.flatnonzero(distance <= _RADIUS).tolist() if a != b}
    wrong = {pair for pair in found if not set(pair).isdisjoint(asked.tolist())} - true
    if wrong:
        raise AssertionError(f"the join reports {len(wrong)} pairs that are farther than {_RADIUS} bits")
    return Measured(len(true & found) / len(true), {"true_pairs": len(true), "join_s": _million()})


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
    rows = hashes(_DUCKDB_ROWS)
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


def _lance() -> Measured:
    _compiled()
    rows = hashes(_LANCE_ROWS)
    ours = min(seconds(lambda: _join(rows)) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 32)
        dataset = lance.write_dataset(pa.table({"pdq": column}), str(Path(folder, "hashes.lance")))
        start = time.perf_counter()
        try:
            dataset = dataset.create_index("pdq", "IVF_FLAT", metric="hamming", num_partitions=64) or dataset
            with find_duplicate_pairs(lance.dataset(dataset.uri), "pdq", _RADIUS) as pairs:
                found = sum(len(batch) for batch in pairs)
        except (OSError, ValueError) as error:
            raise NotMeasured(f"Lance refuses: {str(error)[:160]}") from None
        theirs = time.perf_counter() - start
    true = _join(rows)
    say(f"  ours {ours:.2f} s, Lance {theirs:.2f} s for {found:,} of {true:,} pairs")
    return Measured(ours / theirs, {"ours_s": ours, "lance_s": theirs, "lance_recall": found / true})


def _growth() -> Measured:
    if not FULL:
        raise NotMeasured("joining 10 million hashes takes minutes: set RAISONNE_BENCH_FULL=1")
    many = hashes(10 * _ROWS)
    return Measured(float(np.log10(seconds(lambda: _join(many)) / _million())))


def _skew() -> Measured:
    _compiled()
    rows = hashes(_ROWS)
    skewed = rows.copy()
    skewed.view(np.uint16)[::50, :4] = 0
    skewed = np.unique(skewed, axis=0)
    best = fastest({"uniform": lambda: _join(rows), "skewed": lambda: _join(skewed)}, rounds=2)
    return Measured(best["skewed"] / best["uniform"])


FIGURES = (
    Figure(
        "hamming_recall",
        "share",
        ">= 1.0",
        f"NumPy brute force: the pairs within {_RADIUS} bits of {_ASKED} of {_ROWS:,} hashes",
        _recall,
    ),
    Figure(
        "hamming_vs_lance",
        "ratio",
        "<= 0.3",
        f"Lance's IVF_FLAT index and find_duplicate_pairs, which omits pairs across partitions, {_LANCE_ROWS:,} hashes",
        _lance,
    ),
    Figure(
        "hamming_vs_duckdb",
        "ratio",
        ">= 30",
        f"the same bands and neighbours as a DuckDB join, {_DUCKDB_ROWS:,} hashes",
        _duckdb,
    ),
    Figure("hamming_growth", "exponent", "reported", f"{_ROWS:,} hashes, to ten times as many", _growth),
    Figure(
        "hamming_skew",
        "ratio",
        "<= 1.5",
        f"{_ROWS:,} uniform hashes; skewed: one row in 50 has the same value in 4 of its 16 bands",
        _skew,
    ),
)
