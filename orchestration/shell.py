"""SQL for people: one query, a piped script, or a prompt.

What belongs here: reading statements and printing results. What does not: which database (`publishing.connect`).
"""

import csv
import json
import sys

import duckdb


def run(con: duckdb.DuckDBPyConnection, text: str, form: str) -> None:
    """Run each statement of `text` and print its rows. Raises duckdb.Error."""
    for statement in con.extract_statements(text):
        _show(con, statement, form)


def _show(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement, form: str) -> None:
    if form == "table":
        relation = con.sql(statement.query)
        if relation is not None:
            relation.show(max_rows=200)
        return
    cursor = con.execute(statement)
    names = [column[0] for column in cursor.description or ()]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        writer.writerow(names)
    while rows := cursor.fetchmany(10_000):
        if form == "csv":
            writer.writerows(rows)
        else:
            for row in rows:
                print(json.dumps(dict(zip(names, row, strict=True)), default=str, ensure_ascii=False))


def interact(con: duckdb.DuckDBPyConnection, form: str) -> None:
    """Read statements, each ended by a semicolon, until end of input."""
    import readline  # noqa: F401 -- gives `input` its line editing

    print("read-only; end a query with ; and the session with Ctrl-D. `show all tables;` lists what there is")
    waiting = ""
    while True:
        try:
            waiting += input("raisonne> " if not waiting else "     ...> ") + "\n"
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            waiting = ""
            continue
        if waiting.rstrip().endswith(";"):
            try:
                run(con, waiting, form)
            except duckdb.Error as error:
                print(error, file=sys.stderr)
            waiting = ""
