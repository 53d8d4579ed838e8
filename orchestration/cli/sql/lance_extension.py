"""DuckDB's `lance` extension, with which queries under `--unsafe` read any Lance table.

What belongs here: finding and loading it. What does not: `nearest`, which does without it (`cli/sql/nearest_macro.py`).

The extension reads and writes by itself, whatever DuckDB forbids to queries (`enable_external_access`), and has
functions that remove versions of a table. So it is never in a connection that is kept to the published version.

It comes from PyPI (the extra `lance`), signed by DuckDB, built for one DuckDB version exactly.
"""

import re
from pathlib import Path

import duckdb

from orchestration.warehouse import lake
from orchestration.warehouse.queries import quoted
from transforms.packages import installing

_ASKED = re.compile(r"\blance_\w+\s*\(|\.lance\b", re.I)


class NoExtension(RuntimeError):
    """A query needs DuckDB's lance extension, which is not installed or cannot be loaded."""


def extension() -> Path | None:
    """Return the installed extension for this version of DuckDB, or None."""
    return lake.installed("lance")


def is_asked(text: str) -> bool:
    """Return whether a query uses Lance. Loading takes two seconds, so other queries do without."""
    return bool(_ASKED.search(text))


def require_extension() -> Path:
    """Return the installed extension. Raises NoExtension."""
    file = extension()
    if file is None:
        fix = f"{installing('lance')}, built for DuckDB {duckdb.__version__}"
        raise NoExtension(f"Lance files in SQL need DuckDB's lance extension: {fix}")
    return file


def load(con: duckdb.DuckDBPyConnection) -> None:
    """Load the extension into an open database. Raises NoExtension."""
    file = require_extension()
    try:
        con.execute(f"load {quoted(str(file))}")
    except duckdb.Error as error:
        raise NoExtension(f"{file} cannot be used: {error}") from error
