"""SQL for people and programs: a query or a piped script, its rows printed or written to a file.

What belongs here: running statements, and the forms of their rows. What does not: which database
(`publishing.connect`), the prompt (`cli/repl.py`).
"""

import contextlib
import csv
import io
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TextIO

import duckdb

from transforms.readable import legible
from transforms.storage import staging

_SHOWN = 200  # rows of a table on a terminal


class NotOneQuery(ValueError):
    """What goes into a file is one query that returns rows."""


def run(con: duckdb.DuckDBPyConnection, text: str, form: str, *, upright: bool = False) -> None:
    """Run each statement of `text` and print its rows. Raises duckdb.Error; KeyboardInterrupt ends the query first.

    form: table, csv or json. upright: print each row of a table as lines of name and value.
    """
    cancellable(con, lambda: _print(con, text, form, upright))


def save(con: duckdb.DuckDBPyConnection, text: str, form: str, path: Path) -> None:
    """Write the rows of the one query in `text` to a file, which is there as a whole or not at all.

    form: csv, json or parquet. Raises NotOneQuery, duckdb.Error, OSError.
    """
    statements = con.extract_statements(text)
    if len(statements) != 1:
        raise NotOneQuery(f"a file holds the rows of one query; these are {len(statements)} statements")
    with staging.whole(path) as partial:
        cancellable(con, lambda: _save(con, statements[0], form, partial))


def cancellable(con: duckdb.DuckDBPyConnection, work: Callable[[], None]) -> None:
    """Do what runs queries of `con`; KeyboardInterrupt cancels the query under way before it is raised.

    In a thread of its own: DuckDB does not look for signals in all that it does.
    """
    with ThreadPoolExecutor(1) as pool:
        future: Future[None] = pool.submit(work)
        try:
            future.result()
        except KeyboardInterrupt:
            while wait([future], 0.05).not_done:  # again, should it have come between two queries
                con.interrupt()
            raise


def harmless(text: str) -> str:
    """Name the characters that a terminal would act on, but for the ends of lines and tabs."""
    return legible(text).replace("\r", "⟨U+000D⟩")


class _Harmless(io.TextIOBase):
    """Standard output with nothing of strangers' that a terminal would act on."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write what is left of it."""
        return self._out.write(harmless(text))


def _print(con: duckdb.DuckDBPyConnection, text: str, form: str, upright: bool) -> None:
    plain = _Harmless(sys.stdout) if form == "table" or sys.stdout.isatty() else sys.stdout
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for statement in con.extract_statements(text):
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
                relation.show(max_rows=_SHOWN, max_width=width)


def _print_upright(relation: duckdb.DuckDBPyRelation) -> None:
    wide = max(map(len, relation.columns))
    for number, row in enumerate(relation.fetchmany(_SHOWN), 1):
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
    names = _apart(names)
    for rows in _batches(cursor):
        if form == "csv":
            csv.writer(out, lineterminator="\n").writerows(rows)
        else:
            out.writelines(_json(dict(zip(names, row, strict=True))) + "\n" for row in rows)


def _apart(names: list[str]) -> list[str]:
    """Tell names apart by numbers, as DuckDB does in tables: a key that comes twice would lose a column."""
    taken: list[str] = []
    for name in names:
        free = (name, *(f"{name}_{number}" for number in range(1, len(names) + 1)))
        taken.append(next(each for each in free if each not in taken))
    return taken


def _json(value: object) -> str:
    try:
        return json.dumps(value, default=str, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(_plain(value), default=str, ensure_ascii=False)


def _plain(value: object) -> object:
    """Return a value with what JSON lacks as text: numbers that are none, keys that are no text."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _batches(cursor: duckdb.DuckDBPyConnection) -> Iterator[list[tuple]]:
    while rows := cursor.fetchmany(10_000):
        yield rows
