"""Tables as CSV and Parquet, written by DuckDB's own COPY, which streams and uses all cores.

What belongs here: one table, one file. What does not: which tables (`reports/exports.py`), workbooks
(`reports/workbook.py`).
"""

from pathlib import Path

import duckdb

from orchestration.reports.spreadsheet_sql import literal, safe_select


def write_csv(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    """Write a table as CSV that a spreadsheet can open: flat, with no text that runs as a formula."""
    con.execute(f"copy ({safe_select(con, table)}) to {literal(str(path))} (format csv, header)")


def write_parquet(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    """Write a table as Parquet, every value as it is."""
    con.execute(f"copy {table} to {literal(str(path))} (format parquet, compression zstd)")
