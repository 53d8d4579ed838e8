"""The last lines of a run: what is in the warehouse, and where to look.

What belongs here: printing the summary. What does not: how its numbers are computed (`sql/queries/summary/`).
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import duckdb

from orchestration.warehouse.queries import query
from transforms.generations import archives
from transforms.readable import printable

_LINES = (
    "version",
    "shards",
    "training rows",
    "pictures",
    "coverage",
    "clusters of copies",
    "generations",
    "searched",
)
_FAILURES = {
    "shards": "catalog.shards",
    "gone_dumps": "catalog.shards",
    "unlisted_pictures": "catalog.shards",
    "contradictions": "catalog.shards",
    "not_taken": "catalog.not_taken",
    "pictures": "fingerprints.failures",
    "generations": "catalog.generations",
    "comparisons": "matches.evidence",
    "decisions": "reports.decisions",
}
"""The queries of failures, and the table that has all of each."""
_MOST = 8
_LENGTH = 400
_READ = 10_000


def show(con: duckdb.DuckDBPyConnection, database: Path, report: Path | None) -> None:
    """Print the summary of a published version, in columns on a terminal, as `name: value` when piped. No line is cut.

    Args:
        con: Open on the version.
        database: Its file.
        report: The page to open, if one was written.
    """
    con.execute("set timezone = 'UTC'")
    rows = [(line, _text(con, f"summary/{line.replace(' ', '_')}")) for line in _LINES]
    rows += [("database", _short(database)), ("report", _short(report) if report else "none; run `raisonne export`")]
    wide = max(len(name) for name, _ in rows) if sys.stdout.isatty() else 0
    for name, value in rows:
        print(f"{name:<{wide}}  {value}" if wide else f"{name}: {value}")


def failures(con: duckdb.DuckDBPyConnection, unusable: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return one printable sentence for each landing file or reason why something could not be used.

    Of each kind there are a few, and a last one that names the table with all.

    Args:
        con: Open on the version.
        unusable: Reasons why shards cannot be used, by partition. Those that the version does not hold are added: they
            concern a second dump, or a dump that could not be reached.
    """
    published = {text for (text,) in con.execute(query("failures/shards")).fetchall()}
    told = bounded([f"{name}: {why}" for name, why in unusable.items() if why not in published])
    for name, table in _FAILURES.items():
        found = con.execute(query(f"failures/{name}")).fetchmany(_READ)
        told += bounded([str(text) for (text,) in found], table)
    return told


def bounded(sentences: Sequence[str], table: str = "catalog.shards") -> list[str]:
    """Return the first sentences, printable and cut, and how many more there are.

    Args:
        sentences: All of a kind.
        table: The table that has all of them.
    """
    more = len(sentences) - _MOST
    shown = [printable(text[:_LENGTH] + ("…" if len(text) > _LENGTH else "")) for text in sentences[:_MOST]]
    least = "at least " if len(sentences) == _READ else ""
    return (
        [*shown, f"and {least}{more:,} more of this kind; `raisonne sql 'from {table}'` has all"] if more > 0 else shown
    )


def all_usable(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether every landed shard and every archive of generations can be used as a whole."""
    reasons = {"reasons": [archives.BROKEN, archives.UNREADABLE]}
    return con.execute(query("summary/unusable"), reasons).fetchall() == [(0,)]


def _text(con: duckdb.DuckDBPyConnection, name: str) -> str:
    return str(con.execute(query(name)).fetchall()[0][0])


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
