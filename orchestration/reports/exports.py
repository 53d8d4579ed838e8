"""What curators take away: the reports as pages, and the tables behind them as files.

What belongs here: from the published tables to files in a folder. What does not: the pages (`reports/pages.py`), what
is counted (`sql/reports/`).
"""

import errno
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration.reports import pages, workbook
from orchestration.reports.table_files import write_csv, write_parquet
from orchestration.settings import Settings
from orchestration.warehouse import staging
from transforms.pictures import Pixels
from transforms.readable import count

TABLES = (
    "reports.duplicate_frequency",
    "reports.repeated_pictures",
    "reports.repeated_by_host",
    "reports.repeated_by_license",
    "duplicates.policies",
    "provenance.sources",
    "provenance.generations",
    "provenance.recalled",
    "provenance.licenses",
    "provenance.rightsholders",
    "provenance.timeline",
)
PAGE = pages.FIRST
WORKBOOK = "raisonne.xlsx"
FORMATS = ("html", "csv", "xlsx", "parquet")
_DEFAULT = re.compile(r"version-(\d{6,})")


@dataclass(frozen=True)
class Remembering:
    """Reads pictures, and remembers of which rows it could not and why: exports show a gap there, and should say so."""

    picture: Callable[[int], Pixels]
    unread: dict[int, str] = field(default_factory=dict)

    def __call__(self, sample_id: int) -> Pixels:
        """Return what `picture` returns, and raise what it raises."""
        try:
            return self.picture(sample_id)
        except (OSError, ValueError) as error:
            self.unread[sample_id] = str(error)
            raise

    def said(self) -> str | None:
        """Return how many pictures could not be read, with one reason; None where all could."""
        if not self.unread:
            return None
        row, why = next(iter(self.unread.items()))
        pictures = count(len(self.unread), "training picture")
        return f"{pictures} could not be read; the exports say so in their place. Row {row}: {why}"


class NotInVersion(RuntimeError):
    """A version was published before a table that is exported existed."""


def default_folder(home: Path, version: int) -> Path:
    """Return where a version's exports lie unless another folder is named."""
    return home / "exports" / f"version-{version:06d}"


def prune(home: Path, kept: Collection[int]) -> None:
    """Remove the default folders of versions that are no longer kept. Folders that users named are theirs."""
    for folder in (home / "exports").glob("version-*"):
        number = _DEFAULT.fullmatch(folder.name)
        if number and int(number[1]) not in kept and folder.is_dir() and not folder.is_symlink():
            staging.remove(folder)


def write(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    formats: Sequence[str],
    picture: Callable[[int], Pixels],
    settings: Settings,
) -> list[Path]:
    """Write the published version's exports into `folder`, all or none. Returns the files that people open.

    formats: any of FORMATS. picture: reads a training row's pixels; what cannot be read is shown as such. DuckDB holds
    `limits.duckdb_memory`; what is more lies on disk meanwhile. The folder `pages`, which the pages load from, is
    replaced as a whole; FileExistsError if it is somebody else's. Raises NotInVersion.
    """
    _require_tables(con)
    if "html" in formats:
        pages.require_free(folder)
    with staging.staged(folder) as partial:
        con.execute("set memory_limit = ?", [settings.limits.duckdb_memory])
        con.execute("set temp_directory = ?", [str(partial / ".spill")])
        if "html" in formats:
            pages.write(con, partial, settings, picture)
        for table in TABLES:
            for kind in ("csv", "parquet"):
                if kind in formats:
                    _WRITERS[kind](con, table, partial / f"{table.partition('.')[2]}.{kind}")
        if "xlsx" in formats:
            workbook.write(con, TABLES, partial / WORKBOOK, picture)
        names = sorted(path.name for path in partial.iterdir() if path.name != ".spill")
        _require_files(folder, names)
        for name in names:
            if name == pages.FOLDER and (folder / name).exists():
                (folder / name).rename(partial / f"earlier-{name}")
            (partial / name).replace(folder / name)
    return [folder / name for name in names if (folder / name).is_file()]


def _require_files(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if name != pages.FOLDER and (folder / name).is_dir():
            raise FileExistsError(
                errno.EEXIST, "a folder lies where a file goes; choose another with --to", str(folder / name)
            )


def _require_tables(con: duckdb.DuckDBPyConnection) -> None:
    there = {
        name for (name,) in con.execute("select schema_name || '.' || table_name from duckdb_columns()").fetchall()
    }
    if missing := [table for table in TABLES if table not in there]:
        [(number,)] = con.execute("select max(version) from warehouse.versions").fetchall()
        raise NotInVersion(
            f"version {number} is of an earlier raisonne, without {', '.join(missing)}; export a later version"
        )


_WRITERS = {"csv": write_csv, "parquet": write_parquet}
