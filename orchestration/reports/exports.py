"""Exports for curators: the reports as pages, the tables behind them as files, and what plug-ins write.

What belongs here: writing published tables as files in a folder. What does not: the pages (`reports/pages.py`), the
workbook (`reports/spreadsheets/workbook.py`), counting (`sql/reports/`), finding plug-ins (`transforms/plug_ins.py`).
"""

import errno
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from orchestration.reports import pages
from orchestration.reports.page_data import publication, rows
from orchestration.reports.pictures import PictureReader
from orchestration.reports.spreadsheets import workbook
from orchestration.reports.spreadsheets.cells import safe_select
from orchestration.settings import Settings
from orchestration.warehouse.queries import quoted
from transforms.plug_ins import PlugIn
from transforms.storage import staging

TABLES = (
    "reports.duplicate_frequency",
    "reports.repeated_pictures",
    "reports.repeated_by_host",
    "reports.repeated_by_license",
    "reports.changes",
    "duplicates.policies",
    "provenance.sources",
    "provenance.generations",
    "provenance.recalled",
    "provenance.licenses",
    "provenance.rightsholders",
    "provenance.reserved",
    "provenance.timeline",
)
PAGE = pages.FIRST
WORKBOOK = "raisonne.xlsx"
FORMATS = ("html", "csv", "xlsx", "parquet")
MANIFEST = ".exports.json"
"""The version that a folder's exports are of, and the size of each file; written last: what it lists is whole."""
_DEFAULT = re.compile(r"version-(\d{6,})")


class NotInVersion(RuntimeError):
    """A version lacks an exported table, because an earlier release published it."""


def default_folder(home: Path, version: int) -> Path:
    """Return the folder of a version's exports, unless a user names another one.

    Args:
        home: Folder of the warehouse.
        version: Number of the version.
    """
    return home / "exports" / f"version-{version:06d}"


def complete(folder: Path, version: int) -> bool:
    """Return whether a folder has every file of every format of a version, as they were written.

    Args:
        folder: The folder.
        version: Number of the version.
    """
    tables = {f"{table.partition('.')[2]}.{kind}" for table in TABLES for kind in ("csv", "parquet")}
    listed = _listed(folder, version)
    return listed.keys() >= {*pages.NAMES, WORKBOOK, *tables} and _sizes(folder, listed) == listed


def latest_folder(home: Path, but: int) -> Path | None:
    """Return the default folder of the newest version that has one with every file of every format.

    Args:
        home: Folder of the warehouse.
        but: A version that is left out.
    """
    found = (_DEFAULT.fullmatch(folder.name) for folder in (home / "exports").glob("version-*"))
    for number in sorted({int(each[1]) for each in found if each} - {but}, reverse=True):
        with suppress(OSError):  # one that cannot be read is no help, and no obstacle
            if complete(folder := default_folder(home, number), number):
                return folder
    return None


def prune(home: Path, kept: Collection[int]) -> None:
    """Remove the default folders of pruned versions. Folders that users named stay.

    Args:
        home: Folder of the warehouse.
        kept: Numbers of the versions that are kept.
    """
    for folder in (home / "exports").glob("version-*"):
        number = _DEFAULT.fullmatch(folder.name)
        if number and int(number[1]) not in kept and folder.is_dir() and not folder.is_symlink():
            staging.remove(folder)


def write(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    formats: Sequence[str],
    pictures: PictureReader,
    settings: Settings,
    earlier: Path | None = None,
) -> list[Path]:
    """Write a published version's exports, all or none.

    The folder `pages`, from which the pages load, is replaced as a whole. DuckDB uses up to `limits.duckdb_memory` and
    spills the rest to disk.

    Args:
        con: a connection to the version.
        folder: The folder to write into.
        formats: Any of FORMATS.
        pictures: Reader of the training pictures.
        settings: Limits of the exports, and thresholds for the case pages.
        earlier: The folder of another version's exports, from which is copied what did not change.

    Returns:
        The files that people open.

    Raises:
        NotInVersion: If the version lacks a table.
        FileExistsError: If something else is in the place of a file or of the folder `pages`.
    """
    _require_tables(con)
    if "html" in formats:
        pages.require_free(folder)
    with staging.staging_folder(folder) as partial:
        con.execute("set memory_limit = ?", [settings.memory.duckdb])
        con.execute("set temp_directory = ?", [str(partial / ".spill")])
        if "html" in formats:
            pages.write(con, partial, settings, pictures, earlier)
        for table in TABLES:
            file = partial / table.partition(".")[2]
            if "csv" in formats:
                write_csv(con, table, file.with_suffix(".csv"))
            if "parquet" in formats:
                write_parquet(con, table, file.with_suffix(".parquet"))
        if "xlsx" in formats:
            workbook.write(con, TABLES, partial / WORKBOOK, pictures, settings.reports.workbook)
        names = sorted(path.name for path in partial.iterdir() if path.name != ".spill")
        _require_files(folder, names)
        _put(partial, folder, names, publication(con).number)
    return [folder / name for name in names if (folder / name).is_file()]


def write_by_plug_in(con: duckdb.DuckDBPyConnection, plug_in: PlugIn, folder: Path, memory: str) -> list[Path]:
    """Have a plug-in write a published version's export, all or none.

    Args:
        con: A connection to the version.
        plug_in: Called with the connection and an empty folder.
        folder: As for `write_folder`.
        memory: The most that DuckDB may hold, such as `"4GB"`.

    Returns:
        The files.

    Raises:
        PlugInError: If the plug-in is broken, or wrote no file.
        FileExistsError: If the folder holds anything else.
    """

    def fill(made: Path) -> None:
        plug_in.call(con, made)
        if not any(path.is_file() for path in made.rglob("*")):
            raise plug_in.broken("it wrote no file")

    return write_folder(con, folder, {"plug_in": plug_in.entry.name}, memory, fill)


def write_folder(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    written_by: Mapping[str, str],
    memory: str,
    fill: Callable[[Path], None],
) -> list[Path]:
    """Write an export that is a folder of its own, all or none.

    Args:
        con: A connection to the version.
        folder: Where its files go. It must be new, empty, or of an earlier export by the same writer: that is replaced.
        written_by: What tells the writer, for the manifest.
        memory: The most that DuckDB may hold, such as `"4GB"`.
        fill: Called with an empty folder.

    Returns:
        The files.

    Raises:
        FileExistsError: If the folder holds anything else.
    """
    folder = folder.resolve()
    [name] = written_by.values()
    if not _may_replace(folder, written_by):
        message = f"holds something other than an export {name!r}; choose another folder with --to"
        raise FileExistsError(errno.EEXIST, message, str(folder))
    con.execute("set memory_limit = ?", [memory])
    with staging.staging_folder(folder.parent) as partial:
        con.execute("set temp_directory = ?", [str(partial / ".spill")])
        made = partial / folder.name
        made.mkdir()
        fill(made)
        names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
        (made / MANIFEST).write_text(json.dumps(written_by), encoding="utf-8")
        for path in made.rglob("*"):
            staging.sync_if_possible(path)
        staging.replace_folder(made, folder)
    return [folder / name for name in names]


def _may_replace(folder: Path, written_by: Mapping[str, str]) -> bool:
    """Return whether nothing is in a folder, or what the same writer wrote."""
    try:
        return bool(json.loads((folder / MANIFEST).read_bytes()) == written_by)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return not folder.is_file() and not (folder.is_dir() and any(folder.iterdir()))


def write_csv(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    """Write a table as CSV that a spreadsheet can open: flat, without text that runs as a formula.

    DuckDB's COPY streams and uses all cores.

    Args:
        con: a connection that knows the table.
        table: The table as a query writes it; never a name from outside.
        path: The file to write.
    """
    con.execute(f"copy ({safe_select(con, table)}) to {quoted(str(path))} (format csv, header)")


def write_parquet(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    """Write a table as Parquet, every value as it is.

    Args:
        con: a connection that knows the table.
        table: The table as a query writes it; never a name from outside.
        path: The file to write.
    """
    con.execute(f"copy {table} to {quoted(str(path))} (format parquet, compression zstd)")


def _put(partial: Path, folder: Path, names: Sequence[str], version: int) -> None:
    """Move the written files to their place. Until all are there and on disk, no manifest says that they are."""
    written = [path for name in names for path in [partial / name, *(partial / name).rglob("*")]]
    for path in written:
        staging.sync_if_possible(path)
    new = _sizes(partial, [path.relative_to(partial).as_posix() for path in written if path.is_file()])
    kept = {name: size for name, size in _listed(folder, version).items() if name.partition("/")[0] not in names}
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in names:
        if name == pages.FOLDER:
            staging.replace_folder(partial / name, folder / name)
        else:
            (partial / name).replace(folder / name)
    staging.sync_if_possible(folder)
    (partial / MANIFEST).write_text(json.dumps({"version": version, "files": kept | new}), encoding="utf-8")
    staging.sync_if_possible(partial / MANIFEST)
    (partial / MANIFEST).replace(folder / MANIFEST)
    staging.sync_if_possible(folder)


def _listed(folder: Path, version: int) -> dict[str, int]:
    """Return the sizes of the files that the manifest lists. Empty without one, or if it is of another version."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return dict(manifest["files"]) if manifest["version"] == version else {}
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return {}


def _sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the sizes of those files that are there."""
    sizes = {}
    for name in names:
        with suppress(FileNotFoundError, NotADirectoryError):
            sizes[name] = (folder / name).stat().st_size
    return sizes


def _require_files(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if name != pages.FOLDER and (folder / name).is_dir():
            raise FileExistsError(
                errno.EEXIST, "a folder is in the place of a file; choose another with --to", str(folder / name)
            )


def _require_tables(con: duckdb.DuckDBPyConnection) -> None:
    present = {row["name"] for row in rows(con, "table_names")}
    if missing := [table for table in TABLES if table not in present]:
        raise NotInVersion(
            f"version {publication(con).number} was published by an earlier release without {', '.join(missing)}; "
            "export a later version"
        )
