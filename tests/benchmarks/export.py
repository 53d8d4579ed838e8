"""Exports: the writers beside DuckDB's COPY, and the memory they take. The report's page is in `report_open.py`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.reports.exports import write_csv, write_parquet
from tests.benchmarks import report_open
from tests.benchmarks.data import ROOT
from tests.benchmarks.figures import FULL, Figure, Measured, fastest, say

_ROWS, _SHEET_ROWS = 1_000_000, 1_200_000 if FULL else 100_000
_MEMORY = "512MB"
# The widest of the exported tables, out of made-up rows; in each of them one of two captions is a formula.
_TABLE = """
create schema reports;
create table reports.repeated_pictures as
select i as cluster_id, i as representative_id, 2 + i % 97 as duplicate_count, 1 + i % 50 as exact_count,
    i % 47 as near_count, 2 + i % 90 as distinct_urls, 1 + i % 80 as distinct_captions,
    1 + i % 30 as distinct_hosts, (i % 32)::double as max_distance_to_representative,
    ['cc-by', '?'] as licenses, i % 97 as removable,
    ['images' || i % 999 || '.example.org', 'cdn.example.com'] as hosts,
    ['a caption of picture ' || i || ', as long as they are on the web', '=1+' || i] as captions,
    i % 100 = 0 as unsafe
from range({rows}) as rows(i)"""
_WRITTEN = """
import json, sys
import duckdb
from orchestration.reports import exports
from orchestration.reports.spreadsheets.cells import safe_select
from transforms.reports.spreadsheets import sheets
database, kind, memory, file = sys.argv[1:]
con = duckdb.connect(database, read_only=True, config={"memory_limit": memory, "temp_directory": file + ".spill"})
table = "reports.repeated_pictures"
if kind == "xlsx":
    with sheets.book(sheets.Path(file)) as book:
        reader = con.execute(safe_select(con, table)).to_arrow_reader(10_000)
        sheets.write(book, sheets.SheetTable("repeated_pictures", reader))
else:
    getattr(exports, f"write_{kind}")(con, table, file)
with open("/proc/self/status") as status:  # ru_maxrss starts from that of the process it was started by
    print(json.dumps(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))))
"""


@contextmanager
def _table(file: str = ":memory:", rows: int = _ROWS) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(file) as con:
        con.execute(_TABLE.format(rows=rows))
        yield con


def _ratio(write: Callable[[duckdb.DuckDBPyConnection, str, Path], None], copy: str) -> Measured:
    with _table() as con, tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        best = fastest(
            {
                "ours": lambda: write(con, "reports.repeated_pictures", ours),
                "COPY": lambda: con.execute(f"copy reports.repeated_pictures to '{theirs}' ({copy})"),
            },
            rounds=3,
        )
    return Measured(best["ours"] / best["COPY"], {"rows_per_s": _ROWS / best["ours"]})


def _memory() -> Measured:
    """Write tables of two sizes, each in a process of its own."""
    peaks = {}
    for kind, rows in (("csv", _ROWS), ("parquet", _ROWS), ("xlsx", _SHEET_ROWS)):
        for size in (rows // 10, rows):
            peaks[f"{kind}_{size}_mb"] = _peak(kind, size)
    say(f"  {json.dumps(peaks)}")
    found = list(peaks.values())
    return Measured(max(many / few for few, many in zip(found[::2], found[1::2], strict=True)), peaks)


def _peak(kind: str, rows: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        database, file = Path(folder, "rows.duckdb"), Path(folder, f"rows.{kind}")
        with _table(str(database), rows):
            pass
        command = [sys.executable, "-c", _WRITTEN, str(database), kind, _MEMORY, str(file)]
        return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()[-1])


FIGURES = (
    Figure(
        "csv_vs_copy",
        "ratio",
        "<= 1.5",
        f"DuckDB's COPY to CSV, {_ROWS:,} rows of 14 columns; ours makes text safe too, here in every row",
        lambda: _ratio(write_csv, "format csv, header"),
    ),
    Figure(
        "parquet_vs_copy",
        "ratio",
        "<= 1.5",
        f"DuckDB's COPY to Parquet with zstd, {_ROWS:,} rows of 14 columns",
        lambda: _ratio(write_parquet, "format parquet, compression zstd"),
    ),
    Figure(
        "export_memory_growth",
        "ratio",
        "reported",
        f"peak memory at a tenth of the rows, the most of CSV and Parquet ({_ROWS:,} rows) and XLSX ({_SHEET_ROWS:,}); "
        f"DuckDB may hold {_MEMORY}",
        _memory,
    ),
    *report_open.FIGURES,
)
