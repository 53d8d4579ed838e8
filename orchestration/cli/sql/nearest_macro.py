"""The macro `nearest`, which searches embeddings in SQL by DuckDB's `lance` extension.

What belongs here: loading the extension into an open database, and the macro. What does not: macros in the published
file (`warehouse/macros.py`): DuckDB refuses to store one whose functions it does not know.

The extension comes from PyPI (`raisonne[lance]`), signed by DuckDB, built for one DuckDB version exactly.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import duckdb

_ASKED = re.compile(r"\bnearest\s*\(|\blance_\w+\s*\(|\.lance\b", re.I)
_PACKAGE = "duckdb_extension_lance"
# Compares every vector: `lance_vector_search` takes no subquery, so it cannot take the vector of a row.
_NEAREST = """
create or replace temp macro nearest(of_sample, k := 10) as table
select *
from (
    select
        sample_id,
        array_cosine_similarity(
            vector, (select vector from {embeddings} as own where own.sample_id = of_sample::ubigint)
        ) as cosine
    from {embeddings} as embeddings
)
where cosine is not null -- no rows for a sample without a vector
order by cosine desc, sample_id
limit k"""


class NoExtension(RuntimeError):
    """A query needs DuckDB's lance extension, which is not installed or cannot be loaded."""


def extension() -> Path | None:
    """Return the installed extension for this version of DuckDB, or None."""
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    file = Path(folders[0], "extensions", f"v{duckdb.__version__}", "lance.duckdb_extension") if folders else None
    return file if file and file.exists() else None


def is_asked(text: str) -> bool:
    """Return whether a query uses `nearest` or Lance. Loading takes two seconds, so other queries do without."""
    return bool(_ASKED.search(text))


def require_extension() -> Path:
    """Return the installed extension. Raises NoExtension."""
    file = extension()
    if file is None:
        fix = f"pip install 'raisonne[lance]', built for DuckDB {duckdb.__version__}"
        raise NoExtension(f"nearest() and Lance files need DuckDB's lance extension: {fix}")
    return file


def provide(con: duckdb.DuckDBPyConnection, facts: Path, file: Path) -> None:
    """Load the extension and create `nearest(of_sample, k := 10)` over the copy embeddings.

    Args:
        con: An open database.
        facts: Folder of the Lance tables, whose newest version is read.
        file: The extension.

    Raises:
        NoExtension: If it cannot be loaded.
    """
    from orchestration.facts.filters import literal  # late: Lance takes a second to import

    try:
        con.execute(f"load {literal(str(file))}")
        con.execute(_NEAREST.format(embeddings=literal(str(facts / "copy_embeddings.lance"))))
    except duckdb.Error as error:
        raise NoExtension(f"{file} cannot be used: {error}") from error
