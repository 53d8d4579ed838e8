"""Embeddings within reach of SQL, by DuckDB's `lance` extension where it is installed.

What belongs here: loading the extension into an open database, and the macro over the facts. What does not: macros
that are kept in the published file (`warehouse/macros.py`): DuckDB refuses one whose functions it does not know.

The extension comes from PyPI (`raisonne[lance]`), signed by DuckDB, built for one DuckDB version exactly.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import duckdb

_ASKED = re.compile(r"\bnearest\s*\(|\blance_\w+\s*\(|\.lance\b", re.I)
_PACKAGE = "duckdb_extension_lance"
# Every vector is compared: `lance_vector_search` takes no subquery, so it could not be asked for a row's own vector.
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
where cosine is not null -- none where the row has no vector
order by cosine desc, sample_id
limit k"""


class NoExtension(RuntimeError):
    """A query needs DuckDB's lance extension, which is not installed or cannot be loaded."""


def extension() -> Path | None:
    """Return the file of the installed extension that fits this DuckDB, None where there is none."""
    found = find_spec(_PACKAGE)
    places = found.submodule_search_locations if found else None
    file = Path(places[0], "extensions", f"v{duckdb.__version__}", "lance.duckdb_extension") if places else None
    return file if file and file.exists() else None


def provide(con: duckdb.DuckDBPyConnection, facts: Path, text: str) -> None:
    """Give a connection `nearest(of_sample, k := 10)` over the copy embeddings, if `text` asks for it or for Lance.

    facts: the folder of the Lance tables; their newest version is read. Loading takes two seconds, so it is not done
    unasked. Raises NoExtension.
    """
    if not _ASKED.search(text):
        return
    from orchestration.facts.filters import literal  # late: Lance takes a second to import

    file = extension()
    if file is None:
        fix = f"pip install 'raisonne[lance]', built for DuckDB {duckdb.__version__}"
        raise NoExtension(f"nearest() and Lance files need DuckDB's lance extension: {fix}")
    try:
        con.execute(f"load {literal(str(file))}")
        con.execute(_NEAREST.format(embeddings=literal(str(facts / "copy_embeddings.lance"))))
    except duckdb.Error as error:
        raise NoExtension(f"{file} cannot be used: {error}") from error
