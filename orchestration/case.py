"""One generation as a case: its verdict, its likely sources with their evidence, what was searched.

What belongs here: showing a case on a terminal. What does not: the evidence (`sql/provenance/`).
"""

import difflib

import duckdb

from orchestration.summary import printable

_SOURCES = """
    select rank, verdict, sample_id, duplicate_count, recalled_count, copy_score, pdq_distance, aligned_distance,
        inliers, mirrored, region, p_value, q_value, recalled, coalesce(license, 'unknown') as license, url, caption
    from provenance.sources where generation_id = ? order by rank limit 10"""


def show(con: duckdb.DuckDBPyConnection, generation: str) -> None:
    """Print a case. Raises LookupError, with the nearest names, for a generation that is not in the warehouse."""
    name = _find(con, generation)
    columns = "verdict, sources, searched, searchable, coverage, failure"
    verdict, sources, searched, searchable, coverage, failure = con.execute(
        f"select {columns} from provenance.generations where generation_id = ?",  # noqa: S608
        [name],
    ).fetchall()[0]
    print(f"{printable(name)}: {verdict}" + (f" ({_text(failure)})" if failure else ""))
    print(f"searched: {searched:,} of {searchable:,} training rows ({coverage:.1%})")
    if not sources:
        print("no likely source among them; nothing is said about the rest")
    cursor = con.execute(_SOURCES, [name])
    names = [column[0] for column in cursor.description or ()]
    for row in cursor.fetchall():
        print()
        for column, value in zip(names, row, strict=True):
            print(f"{column.replace('_', ' '):<17} {_text(value)}")


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{side} {part:.2f}" for side, part in value.items())
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return printable(text)


def _find(con: duckdb.DuckDBPyConnection, generation: str) -> str:
    known = [name for (name,) in con.execute("select generation_id from catalog.generations order by 1").fetchall()]
    if generation in known:
        return generation
    ending = [name for name in known if name.endswith(f"/{generation}")]
    if len(ending) == 1:
        return ending[0]
    near = ending or difflib.get_close_matches(generation, known, 3, 0.3) or known[:3]
    raise LookupError(f"no generation is called {generation!r}; there is {printable(', '.join(near)) or 'none at all'}")
