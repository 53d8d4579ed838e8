"""DuckDB's `lance` extension, with which queries under `--unsafe` read any Lance table.

What belongs here: finding and loading it. What does not: `nearest`, which does without it (`cli/sql/nearest_macro.py`).

The extension reads and writes by itself, whatever DuckDB forbids to queries (`enable_external_access`), and has
functions that remove versions of a table. So it is never in a connection that is kept to the published version.

It comes from PyPI (the extra `lance`), signed by DuckDB, built for one DuckDB version exactly.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import duckdb

from transforms.packages import installing

_ASKED = re.compile(r"\blance_\w+\s*\(|\.lance\b", re.I)
_PACKAGE = "duckdb_extension_lance"


class NoExtension(RuntimeError):
    """A query needs DuckDB's lance extension, which is not installed or cannot be loaded."""


def extension() -> Path | None:
    """Return the installed extension for this version of DuckDB, or None."""
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    file = Path(folders[0], "extensions", f"v{duckdb.__version__}", "lance.duckdb_extension") if folders else None
    return file if file and file.exists() else None


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
    from orchestration.facts.filters import literal  # late: Lance takes a second to import

    file = require_extension()
    try:
        con.execute(f"load {literal(str(file))}")
    except duckdb.Error as error:
        raise NoExtension(f"{file} cannot be used: {error}") from error
