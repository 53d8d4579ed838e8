"""The last lines of a run: what is in the warehouse, and where to look.

What belongs here: the summary table. What does not: the numbers' meaning (`sql/`).
"""

from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from transforms.readable import printable

_QUERIES = {
    "version": """
        select '#' || max(version) || ', ' || strftime(max(published_at), '%Y-%m-%d %H:%M UTC')
        from warehouse.versions""",
    "shards": """
        select format('{} usable, {} failed', count(*) filter (where status <> 'failed'),
            count(*) filter (where status = 'failed'))
        from catalog.shards""",
    "training rows": "select format('{:,}', count(*)) from catalog.samples",
    "pictures": """
        select format('{:,} ok, {:,} low quality, {:,} failed, {:,} missing',
            count(*) filter (where images.status = 'ok'), count(*) filter (where images.status = 'low_quality'),
            count(*) filter (where images.status = 'failed'), count(*) filter (where images.status is null))
        from catalog.samples left join fingerprints.images using (sample_id)""",
    "coverage": """
        select coalesce(string_agg(format('{} {:,} of {:,}', fingerprint, ok, expected), ', ' order by fingerprint),
            'none')
        from (select fingerprint, sum(ok)::bigint as ok, sum(expected)::bigint as expected
              from fingerprints.coverage group by fingerprint)""",
    "clusters of copies": "select format('{:,}', count(*)) from duplicates.counts",
    "largest duplicate count": "select format('{:,}', coalesce(max(duplicate_count), 1)) from duplicates.counts",
    "generations": """
        select coalesce(
            string_agg(
                format('{:,} {}{}', n, verdict, if(inconclusive > 0, format(' ({:,} inconclusive)', inconclusive), '')),
                ', ' order by verdict),
            'none')
        from (select verdict, count(*) as n,
                count(*) filter (where not conclusive and verdict <> 'not_searched') as inconclusive
              from provenance.generations group by verdict)""",
    "searched": """
        select coalesce(max(format('{:,} of {:,} training rows ({:.1f}%)', searched, searchable, 100 * coverage)),
            'nothing')
        from provenance.generations""",
}

_FAILURES = (
    "select coalesce(failure, broken) from catalog.shards where coalesce(failure, broken) is not null order by 1",
    """
    select format('{}/{}: {} pictures that no metadata row lists', dataset, shard, unlisted)
    from catalog.shards where unlisted > 0 order by 1""",
    """
    select format('{} pictures failed, such as {}: {}', rows, example_member, failure)
    from fingerprints.failures order by rows desc limit 20""",
    """
    select format('{} generations failed: {}', count(*), failure)
    from catalog.generations where failure is not null group by failure order by count(*) desc limit 20""",
)


def show(con: duckdb.DuckDBPyConnection, database: Path, report: Path | None) -> None:
    """Print the summary of a published version to standard output: a table on a terminal, `name: value` when piped."""
    con.execute("set timezone = 'UTC'")
    rows = [(name, str(con.execute(query).fetchall()[0][0])) for name, query in _QUERIES.items()]
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
    """Return what could not be used, one printable sentence a landing file or reason."""
    return [printable(text) for query in _FAILURES for (text,) in con.execute(query).fetchall()]


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
