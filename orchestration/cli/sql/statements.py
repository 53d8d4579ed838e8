"""SQL statements, whose rows are printed or written to a file.

What belongs here: running statements, and the formats of rows. What does not: opening the database
(`cli/published.py`), the prompt (`cli/sql/repl.py`).
"""

import contextlib
import csv
import io
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import duckdb

from orchestration.warehouse.queries import query
from transforms.readable import harmless
from transforms.storage import staging

_MOST_ROWS = 200  # of a table on a terminal
_SHOW_TABLES = re.compile(r"\s*show\s+tables\s*;?\s*", re.I)  # DuckDB's own lists one schema, and there are several


class NotOneQuery(ValueError):
    """The text is not one query that returns rows, as a file needs."""


def run(con: duckdb.DuckDBPyConnection, text: str, form: str, *, upright: bool = False) -> None:
    """Run each statement and print its rows. KeyboardInterrupt cancels the query before it is raised.

    Args:
        con: An open database.
        text: statements.
        form: `table`, `csv` or `json`.
        upright: Print each row of a table as lines of name and value.

    Raises:
        duckdb.Error: a statement is wrong or fails.
    """
    run_interruptible(con, lambda: _print(con, text, form, upright))


def save(
    con: duckdb.DuckDBPyConnection,
    text: str,
    form: str,
    path: Path,
    prepare: Callable[[Path], object] = lambda _: None,
) -> None:
    """Write the rows of one query to a file. A failure leaves no partial file.

    Args:
        con: An open database.
        text: The query.
        form: `csv`, `json` or `parquet`.
        path: The file.
        prepare: Called with the path that is written to before it becomes `path`, before the query runs.

    Raises:
        NotOneQuery: If there are several statements, or one that returns no rows.
        duckdb.Error: If the query is wrong or fails.
        OSError: If the file cannot be written.
    """
    statements = _statements(con, text)
    if len(statements) != 1:
        raise NotOneQuery(f"a file holds the rows of one query; got {len(statements)} statements")
    with staging.whole(path) as partial:
        prepare(partial)
        run_interruptible(con, lambda: _save(con, statements[0], form, partial))


def run_interruptible(con: duckdb.DuckDBPyConnection, work: Callable[[], None]) -> None:
    """Call `work` in a thread. KeyboardInterrupt cancels its query before it is raised.

    DuckDB does not check for signals in all of its operators, so the main thread waits for them here.

    Args:
        con: The connection that `work` queries.
        work: Runs queries.
    """
    with ThreadPoolExecutor(1) as pool:
        future: Future[None] = pool.submit(work)
        try:
            future.result()
        except KeyboardInterrupt:
            while wait([future], 0.05).not_done:  # again, in case it came between two queries
                con.interrupt()
            raise


def _statements(con: duckdb.DuckDBPyConnection, text: str) -> list[duckdb.Statement]:
    """Return the statements of a text; `show tables` as a query of the tables of all schemas."""
    found = []
    for statement in con.extract_statements(text):
        asked = _SHOW_TABLES.fullmatch(statement.query)
        found += con.extract_statements(query("cli/show_tables")) if asked else [statement]
    return found


class _Harmless(io.TextIOBase):
    """Standard output without characters that a terminal acts on: captions come from the open web."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write the text with those characters named."""
        return self._out.write(harmless(text))


def _print(con: duckdb.DuckDBPyConnection, text: str, form: str, upright: bool) -> None:
    plain = _Harmless(sys.stdout) if form == "table" or sys.stdout.isatty() else sys.stdout
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for statement in _statements(con, text):
        with contextlib.redirect_stdout(plain):
            if form != "table":
                _write(con.execute(statement), form, sys.stdout)
            elif statement.type == duckdb.StatementType.EXPLAIN:
                print("\n".join(plan for _, plan in con.execute(statement).fetchall()))
            elif (relation := con.sql(statement.query)) is None:
                continue
            elif upright:
                _print_upright(relation)
            else:
                relation.show(max_rows=_MOST_ROWS, max_width=width)


def _print_upright(relation: duckdb.DuckDBPyRelation) -> None:
    wide = max(map(len, relation.columns))
    for number, row in enumerate(relation.fetchmany(_MOST_ROWS), 1):
        print(f"── row {number}")
        for name, value in zip(relation.columns, row, strict=True):
            shown = "NULL" if value is None else str(value)
            print(f"{name:>{wide}}  {''.join(c if c.isprintable() else repr(c)[1:-1] for c in shown)}")


def _save(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement, form: str, path: Path) -> None:
    if form == "parquet":
        relation = con.sql(statement.query)
        if relation is None:
            raise NotOneQuery(f"this returns no rows to write: {statement.query.strip()}")
        relation.write_parquet(str(path), compression="zstd")
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        _write(con.execute(statement), form, file)


def _write(cursor: duckdb.DuckDBPyConnection, form: str, out: TextIO) -> None:
    names = [column[0] for column in cursor.description or ()]
    if form == "csv":
        csv.writer(out, lineterminator="\n").writerow(names)
    names = _unique(names)
    for rows in _batches(cursor):
        if form == "csv":
            csv.writer(out, lineterminator="\n").writerows(rows)
        else:
            out.writelines(_json(dict(zip(names, row, strict=True))) + "\n" for row in rows)


def _unique(names: list[str]) -> list[str]:
    """Add numbers to repeated names, as DuckDB does in tables: JSON would lose a column under a repeated key."""
    unique: list[str] = []
    for name in names:
        free = (name, *(f"{name}_{number}" for number in range(1, len(names) + 1)))
        unique.append(next(each for each in free if each not in unique))
    return unique


def _json(value: object) -> str:
    try:
        return json.dumps(value, default=_text, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(_plain(value), default=_text, ensure_ascii=False)


def _text(value: object) -> str | int:
    """Return a value that JSON has no form for as text; a whole number that DuckDB keeps in digits as a number."""
    whole = isinstance(value, Decimal) and value.is_finite() and value.as_tuple().exponent == 0
    return int(value) if whole and isinstance(value, Decimal) else str(value)


def _plain(value: object) -> object:
    """Return a value with NaN, infinities and keys as text: JSON has no other form for them."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _batches(cursor: duckdb.DuckDBPyConnection) -> Iterator[list[tuple]]:
    while rows := cursor.fetchmany(10_000):
        yield rows
