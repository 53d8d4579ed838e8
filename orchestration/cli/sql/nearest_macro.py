"""The macro `nearest`, which searches the copy embeddings in SQL.

What belongs here: the macro, and the embeddings that it reads. What does not: macros in the published file
(`warehouse/macros.py`), whose vectors stay in Lance; DuckDB's extension for Lance (`cli/sql/lance_extension.py`).

The embeddings come into DuckDB as a stream of Arrow batches, so a query with them can reach nothing else in Lance.
"""

import re
from pathlib import Path

import duckdb

_ASKED = re.compile(r'\bnearest"?\s*\(', re.I)
_TABLE = "copy_embeddings"
# Compares every vector. The vectors are streamed twice, first for the one of the row: nothing is held in memory.
_NEAREST = f"""
create or replace temp macro nearest(of_sample, k := 10) as table
select *
from (
    select
        sample_id,
        array_cosine_similarity(
            vector, (select vector from temp.{_TABLE} as own where own.sample_id = of_sample::ubigint)
        ) as cosine
    from temp.{_TABLE}
)
where cosine is not null -- no rows for a sample without a vector
order by cosine desc, sample_id
limit k"""  # noqa: S608 -- our own name


class NoEmbeddings(RuntimeError):
    """A query needs embeddings, or an encoder, which are not there."""


class _Embeddings:
    """The newest rows of a table for DuckDB, which asks for them anew in each query (Arrow's PyCapsule interface)."""

    def __init__(self, table: Path) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import lance  # late: this takes a second

        scanner = lance.dataset(str(self._table)).scanner(columns=["sample_id", "vector"])
        return scanner.to_reader().__arrow_c_stream__(requested_schema)


def is_asked(text: str) -> bool:
    """Return whether a query uses `nearest`. Lance takes a second to import, so other queries do without."""
    return bool(_ASKED.search(text))


def provide(con: duckdb.DuckDBPyConnection, facts: Path) -> None:
    """Create `nearest(of_sample, k := 10)` over the copy embeddings.

    Args:
        con: An open database.
        facts: Folder of the Lance tables, whose newest version is read.

    Raises:
        NoEmbeddings: If there are none.
    """
    table = facts / f"{_TABLE}.lance"
    if not table.is_dir():
        raise NoEmbeddings(f"nearest() compares copy embeddings, and {table} is not there; `raisonne run` makes it")
    con.register(_TABLE, _Embeddings(table))
    con.execute(_NEAREST)
