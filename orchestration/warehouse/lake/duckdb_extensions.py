"""DuckDB's extensions, as packages bring them: signed by DuckDB, and built for one version of it exactly.

What belongs here: finding them, and loading those of a lake. What does not: attaching a lake (`lake/attaching.py`).

Nothing is fetched: DuckDB may neither install an extension by itself nor load one that no package brought.
"""

from importlib.util import find_spec
from pathlib import Path

import duckdb

from orchestration.settings.targets import LakeAddress
from orchestration.warehouse.publishing import NotPublished
from transforms.packages import installing

NOTHING_FETCHED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""Settings of a connection that uses the extensions of packages alone."""
_CATALOGS = {"sqlite": "sqlite_scanner", "postgres": "postgres_scanner"}


class NoLakeExtension(NotPublished):
    """A lake needs extensions of DuckDB that are not installed, or cannot be loaded."""


def installed(name: str) -> Path | None:
    """Return the file of an installed extension for this version of DuckDB, or None."""
    spec = find_spec(f"duckdb_extension_{name}")
    folders = spec.submodule_search_locations if spec else None
    file = Path(folders[0], "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension") if folders else None
    return file if file and file.exists() else None


def load(con: duckdb.DuckDBPyConnection, address: LakeAddress, data: str | None) -> None:
    """Load the extensions that a lake needs.

    Args:
        con: Any connection.
        address: The lake.
        data: Where its data lie, as far as that is known.

    Raises:
        NoLakeExtension: If one is not installed, or cannot be loaded.
    """
    for name in _needed(address, data):
        load_one(con, name)


def require(address: LakeAddress) -> None:
    """Raise NoLakeExtension if an extension that a lake needs is not installed."""
    for name in _needed(address, address.data):
        _require(name)


def load_one(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load one extension.

    Args:
        con: Any connection.
        name: As its file is called.

    Raises:
        NoLakeExtension: If it is not installed, or cannot be loaded.
    """
    file = _require(name)
    try:
        con.load_extension(str(file))
    except duckdb.Error as error:
        raise NoLakeExtension(f"{file} cannot be used: {error}") from error


def _require(name: str) -> Path:
    if (file := installed(name)) is None:
        fix = f"{installing('lake')}, built for DuckDB {duckdb.__version__}"
        raise NoLakeExtension(f"a lake needs DuckDB's extension {name}, which is not installed: {fix}")
    return file


def _needed(address: LakeAddress, data: str | None) -> list[str]:
    stores = ["httpfs", "aws"] if data is not None and data.startswith("s3://") else []
    return ["ducklake", _CATALOGS[address.kind], *stores]
