"""SQL for people and programs: a query or a piped script, its rows printed or written to a file.

What belongs here: running statements, and the forms of their rows. What does not: which database
(`publishing.connect`), the prompt (`prompt.py`).
"""

import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TextIO

import duckdb

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
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        partial = Path(folder, path.name)
        cancellable(con, lambda: _save(con, statements[0], form, partial))
        partial.replace(path)


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


def _print(con: duckdb.DuckDBPyConnection, text: str, form: str, upright: bool) -> None:
    for statement in con.extract_statements(text):
        if form != "table":
            _write(con.execute(statement), form, sys.stdout)
        elif (relation := con.sql(statement.query)) is None:
            continue
        elif upright:
            _print_upright(relation)
        else:
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
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
    for rows in _batches(cursor):
        if form == "csv":
            csv.writer(out, lineterminator="\n").writerows(rows)
        else:
            out.writelines(
                json.dumps(dict(zip(names, row, strict=True)), default=str, ensure_ascii=False) + "\n" for row in rows
            )


def _batches(cursor: duckdb.DuckDBPyConnection) -> Iterator[list[tuple]]:
    while rows := cursor.fetchmany(10_000):
        yield rows
