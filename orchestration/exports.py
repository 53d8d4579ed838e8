"""What curators take away: the reports as pages, and the tables behind them as files.

What belongs here: from the published tables to files in a folder. What does not: the pages (`pages.py`), what is
counted (`sql/reports/`).
"""

import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from orchestration import pages
from orchestration.settings import Settings
from transforms.pictures import Pixels
from transforms.spreadsheets import safe_table

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
_BATCH = 50_000


def default_folder(home: Path, version: int) -> Path:
    """Return where a version's exports lie unless another folder is named."""
    return home / "exports" / f"version-{version:06d}"


def prune(home: Path, kept: Collection[int]) -> None:
    """Remove the default folders of versions that are no longer kept. Folders that users named are theirs."""
    for folder in (home / "exports").glob("version-*"):
        if folder not in {default_folder(home, number) for number in kept}:
            shutil.rmtree(folder)


def write(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    formats: Sequence[str],
    picture: Callable[[int], Pixels],
    settings: Settings,
) -> list[Path]:
    """Write the published version's exports into `folder`, all or none. Returns the files that people open.

    formats: any of html, csv, parquet. picture: reads a training row's pixels; what cannot be read is shown as such.
    The folder `pages`, which the pages load from, is replaced as a whole; FileExistsError if it is somebody else's.
    """
    if "html" in formats:
        pages.require_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        if "html" in formats:
            pages.write(con, partial, settings, picture)
        for table in TABLES:
            for kind in ("csv", "parquet"):
                if kind in formats:
                    _WRITERS[kind](con, table, partial / f"{table.partition('.')[2]}.{kind}")
        names = sorted(path.name for path in partial.iterdir())
        folder.mkdir(exist_ok=True)
        for name in names:
            if (folder / name).is_dir():
                (folder / name).rename(partial / f"earlier-{name}")
            (partial / name).replace(folder / name)
    finally:
        shutil.rmtree(partial)
    return [folder / name for name in names if (folder / name).is_file()]


def _batches(con: duckdb.DuckDBPyConnection, table: str) -> pa.RecordBatchReader:
    return con.execute(f"select * from {table}").to_arrow_reader(_BATCH)  # noqa: S608 -- one of TABLES


def _csv(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    reader = _batches(con, table)
    empty = safe_table(reader.schema.empty_table())
    with pa_csv.CSVWriter(path, empty.schema) as writer:
        for batch in reader:
            writer.write_table(safe_table(pa.Table.from_batches([batch])).cast(empty.schema))


def _parquet(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    reader = _batches(con, table)
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


_WRITERS = {"csv": _csv, "parquet": _parquet}
