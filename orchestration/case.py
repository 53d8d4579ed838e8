"""One generation as a case: its verdict, its likely sources with their evidence, what was searched.

What belongs here: showing a case on a terminal. What does not: the evidence (`sql/provenance/`).
"""

import difflib

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SOURCES = """
    select rank, verdict, sample_id, duplicate_count, copy_score, pdq_distance, aligned_distance, inliers, region,
        p_value, q_value, coalesce(license, 'unknown') as license, url, caption
    from provenance.sources where generation_id = ? order by rank limit 10"""


def show(con: duckdb.DuckDBPyConnection, generation: str) -> None:
    """Print a case. Raises LookupError, with the nearest names, for a generation that is not in the warehouse."""
    name = _find(con, generation)
    columns = "verdict, sources, searched, searchable, coverage, failure"
    verdict, sources, searched, searchable, coverage, failure = con.execute(
        f"select {columns} from provenance.generations where generation_id = ?",  # noqa: S608
        [name],
    ).fetchall()[0]
    console = Console(soft_wrap=True)
    console.print(f"[bold]{escape(name)}[/bold]: [bold]{verdict}[/bold]" + (f" ({escape(failure)})" if failure else ""))
    console.print(f"searched: {searched:,} of {searchable:,} training rows ({coverage:.1%})")
    if not sources:
        console.print("no likely source among them; nothing is said about the rest")
    cursor = con.execute(_SOURCES, [name])
    names = [column[0] for column in cursor.description or ()]
    for row in cursor.fetchall():
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for column, value in zip(names, row, strict=True):
            table.add_row(column.replace("_", " "), escape(_text(value)))
        console.print(table)
        console.print()


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{side} {part:.2f}" for side, part in value.items())
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)  # no escape codes from the web


def _find(con: duckdb.DuckDBPyConnection, generation: str) -> str:
    known = [name for (name,) in con.execute("select generation_id from catalog.generations order by 1").fetchall()]
    if generation in known:
        return generation
    ending = [name for name in known if name.endswith(f"/{generation}")]
    if len(ending) == 1:
        return ending[0]
    near = ending or difflib.get_close_matches(generation, known, 3, 0.3) or known[:3]
    raise LookupError(f"no generation is called {generation!r}; there is {', '.join(near) or 'none at all'}")
