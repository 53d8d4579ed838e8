"""Exports: the writers beside DuckDB's COPY, and how long the report takes to open (`report_open.py`)."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration import exports
from tests.benchmarks import report_open
from tests.benchmarks.figures import Figure, Measured, fastest

_ROWS = 1_000_000


@contextmanager
def _table() -> Iterator[duckdb.DuckDBPyConnection]:
    """Make `reports.repeated_pictures`, the widest of the exported tables, out of made-up rows."""
    with duckdb.connect() as con:
        con.execute("create schema reports")
        con.execute(f"""
            create table reports.repeated_pictures as
            select i as cluster_id, i as representative_id, 2 + i % 97 as duplicate_count, 1 + i % 50 as exact_count,
                i % 47 as near_count, 2 + i % 90 as distinct_urls, 1 + i % 80 as distinct_captions,
                1 + i % 30 as distinct_hosts, (i % 32)::double as max_distance_to_representative,
                ['cc-by', '?'] as licenses, i % 97 as removable,
                ['images' || i % 999 || '.example.org', 'cdn.example.com'] as hosts,
                ['a caption of picture ' || i || ', as long as they are on the web', '=1+' || i] as captions,
                i % 100 = 0 as unsafe
            from range({_ROWS}) as rows(i)""")  # noqa: S608
        yield con


def _writer(kind: str, copy: str) -> Measured:
    with _table() as con, tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, f"ours.{kind}"), Path(folder, f"theirs.{kind}")
        best = fastest(
            {
                "ours": lambda: exports._WRITERS[kind](con, "reports.repeated_pictures", ours),
                "COPY": lambda: con.execute(f"copy reports.repeated_pictures to '{theirs}' ({copy})"),
            },
            rounds=2,
        )
    return Measured(best["ours"] / best["COPY"])


FIGURES = (
    Figure(
        "csv_vs_copy",
        "ratio",
        "<= 1.5",
        f"DuckDB's COPY to CSV, {_ROWS:,} rows of 14 columns; ours makes text safe for spreadsheets too",
        lambda: _writer("csv", "format csv, header"),
    ),
    Figure(
        "parquet_vs_copy",
        "ratio",
        "<= 1.5",
        f"DuckDB's COPY to Parquet with zstd, {_ROWS:,} rows of 14 columns",
        lambda: _writer("parquet", "format parquet, compression zstd"),
    ),
    *report_open.FIGURES,
)
