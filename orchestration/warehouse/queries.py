"""Named queries: SQL that is not a table of the published file, such as the queries of a page or of the summary.

What belongs here: reading `sql/queries/<name>.sql`, the rows that one returns, quoting texts where a statement takes no
parameters. What does not: tables (`warehouse/models.py`), table macros (`warehouse/macros.py`), functions that several
queries share (`warehouse/functions.py`), filters over fact tables (`facts/filters.py`).

A file is a header of `--` lines and one statement. The header says what the statement returns and what its parameters
are, in the order in which they are passed.
"""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from orchestration.warehouse import sql_folder

FOLDER = "queries"


def quoted(text: str) -> str:
    """Return a text as SQL of DuckDB writes it, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def query(name: str) -> str:
    """Return the SQL of `sql/queries/<name>.sql` without its header. Raises LookupError that names a missing file."""
    return _parts(_path(name))[1]


def meaning(name: str) -> str:
    """Return what a query's header says that it returns. Raises LookupError that names a missing file."""
    return _parts(_path(name))[0]


def fetch_rows(executed: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return all rows of a statement that a connection has executed, with their values by column."""
    columns = [column[0] for column in executed.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in executed.fetchall()]


def query_names(group: str) -> tuple[str, ...]:
    """Return the names of the queries in `sql/queries/<group>/`, sorted, as `query` takes them."""
    return tuple(f"{group}/{path.stem}" for path in sorted((sql_folder.SQL / FOLDER / group).glob("*.sql")))


def _path(name: str) -> Path:
    return sql_folder.SQL / FOLDER / f"{name}.sql"


@cache
def _parts(path: Path) -> tuple[str, str]:
    """Return the header as one text, and the statement."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LookupError(f"no query at {path}; write it there, or correct the name") from None
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    statement = "\n".join(lines[end:]).strip().removesuffix(";").rstrip()
    if not end or not statement:
        raise LookupError(f"{path}: begin with `-- what it returns`, then write one statement")
    return " ".join(line.removeprefix("--").strip() for line in lines[:end]), statement
