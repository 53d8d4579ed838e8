"""How many threads libraries take in processes of tests."""

import functools
import os
from typing import Any

import duckdb

_CHOSEN = "TESTS_TAKE_ONE_THREAD"


def take_one() -> None:
    """Let DuckDB, torch and ONNX work in one thread each, in this process and in commands that are forked for it.

    Workers of tests have the cores already. A second thread of DuckDB waits by spinning, which is a quarter of the work
    of a small run. `make test ALL=1` leaves threads as users have them, and so do commands in processes of their own.
    """
    os.environ |= {_CHOSEN: "1", "OMP_NUM_THREADS": "1"}
    connect = duckdb.connect

    @functools.wraps(connect)
    def in_one_thread(
        database: object = ":memory:", read_only: bool = False, config: dict[str, Any] | None = None
    ) -> duckdb.DuckDBPyConnection:
        return connect(database, read_only, {"threads": 1} | (config or {}))

    duckdb.connect = in_one_thread


def follow() -> None:
    """Take one thread if the process that this one serves does."""
    if _CHOSEN in os.environ:
        take_one()
