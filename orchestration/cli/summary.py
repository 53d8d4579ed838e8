"""The last lines of a run: what is in the warehouse, and where to look.

What belongs here: printing the summary. What does not: how its numbers are computed (`sql/queries/summary/`).
"""

from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from orchestration.warehouse.queries import query
from transforms.readable import printable

_LINES = (
    "version",
    "shards",
    "training rows",
    "pictures",
    "coverage",
    "clusters of copies",
    "largest duplicate count",
    "generations",
    "searched",
)
_FAILURES = ("shards", "unlisted_pictures", "pictures", "generations")


def show(con: duckdb.DuckDBPyConnection, database: Path, report: Path | None) -> None:
    """Print the summary of a published version: a table on a terminal, `name: value` when piped.

    Args:
        con: Open on the version.
        database: Its file.
        report: The page to open, if one was written.
    """
    con.execute("set timezone = 'UTC'")
    rows = [(line, _text(con, f"summary/{line.replace(' ', '_')}")) for line in _LINES]
    rows += [("database", _short(database)), ("report", _short(report) if report else "none; run `raisonne export`")]
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        for name, value in rows:
            print(f"{name}: {value}")
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(name, value, style="bold" if name == "largest duplicate count" else "")
    console.print(table)


def failures(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return one printable sentence for each landing file or reason why pictures could not be used."""
    return [printable(text) for name in _FAILURES for (text,) in con.execute(query(f"failures/{name}")).fetchall()]


def _text(con: duckdb.DuckDBPyConnection, name: str) -> str:
    return str(con.execute(query(name)).fetchall()[0][0])


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
