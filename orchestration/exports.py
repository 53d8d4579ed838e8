"""What curators take away: the duplicate-frequency report as a page, and the tables behind it as files.

What belongs here: from the published tables to files in a folder. What does not: how the page looks
(`transforms/report.py`), what is counted (`sql/reports/`).
"""

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import duckdb

from orchestration import workbook
from orchestration.table_files import write_csv, write_parquet
from transforms import report
from transforms.pictures import Pixels

TABLES = (
    "reports.duplicate_frequency",
    "reports.repeated_pictures",
    "duplicates.policies",
    "provenance.sources",
    "provenance.generations",
    "provenance.recalled",
    "provenance.licenses",
    "provenance.rightsholders",
    "provenance.timeline",
)
PAGE = "duplicate_frequency.html"
WORKBOOK = "raisonne.xlsx"
FORMATS = ("html", "csv", "xlsx", "parquet")
_COVERAGE = """
    select fingerprint, sum(expected)::bigint, sum(ok)::bigint, sum(low_quality)::bigint, sum(failed)::bigint,
        sum(missing)::bigint
    from fingerprints.coverage group by fingerprint order by fingerprint"""
_GALLERY = 200  # pictures on the page; the files hold all


class NotInVersion(RuntimeError):
    """A version was published before a table that is exported existed."""


def default_folder(home: Path, version: int) -> Path:
    """Return where a version's exports lie unless another folder is named."""
    return home / "exports" / f"version-{version:06d}"


def prune(home: Path, kept: Collection[int]) -> None:
    """Remove the default folders of versions that are no longer kept. Folders that users named are theirs."""
    for folder in (home / "exports").glob("version-*"):
        if folder not in {default_folder(home, number) for number in kept}:
            shutil.rmtree(folder)


def write(
    con: duckdb.DuckDBPyConnection, folder: Path, formats: Sequence[str], picture: Callable[[int], Pixels], memory: str
) -> list[Path]:
    """Write the published version's exports into `folder`, all or none. Returns the files.

    formats: any of FORMATS. picture: reads a training row's pixels; what cannot be read is shown as such.
    memory: what DuckDB may hold, as it takes it; what is more lies on disk meanwhile. Raises NotInVersion.
    """
    _require_tables(con)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        con.execute("set memory_limit = ?", [memory])
        con.execute("set temp_directory = ?", [str(partial / ".spill")])
        if "html" in formats:
            (partial / PAGE).write_text(page(con, picture), encoding="utf-8")
        for table in TABLES:
            for kind in ("csv", "parquet"):
                if kind in formats:
                    _WRITERS[kind](con, table, partial / f"{table.partition('.')[2]}.{kind}")
        if "xlsx" in formats:
            workbook.write(con, TABLES, partial / WORKBOOK, picture)
        names = sorted(path.name for path in partial.iterdir() if path.name != ".spill")
        folder.mkdir(exist_ok=True)
        for name in names:
            (partial / name).replace(folder / name)
    finally:
        shutil.rmtree(partial)
    return [folder / name for name in names]


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


def page(con: duckdb.DuckDBPyConnection, picture: Callable[[int], Pixels]) -> str:
    """Render the duplicate-frequency report."""
    version, published_at = _one(
        con, "select version, published_at from warehouse.versions order by version desc limit 1"
    )
    rows, images = _one(
        con,
        "select count(*), count(images.sample_id) from catalog.samples left join fingerprints.images using (sample_id)",
    )
    clusters, clustered, largest = _one(
        con,
        "select count(*), coalesce(sum(duplicate_count), 0), coalesce(max(duplicate_count), 1) from duplicates.counts",
    )
    searched = _one(
        con, "select count(*), coalesce(min(searched), 0), coalesce(max(searchable), 0) from provenance.generations"
    )
    datasets = tuple(
        name for (name,) in con.execute("select distinct dataset from catalog.samples order by 1").fetchall()
    )
    return report.render(
        report.DuplicateReport(
            title=f"Duplicate frequency: {', '.join(datasets) or 'no dataset'}",
            version=version,
            published_at=f"{published_at:%Y-%m-%d %H:%M} UTC",
            datasets=datasets,
            rows=rows,
            images=images,
            clusters=clusters,
            rows_in_clusters=int(clustered),
            largest=largest,
            coverage=_rows(con, report.Coverage, _COVERAGE),
            bands=_rows(
                con, report.Band, "select band, clusters, rows, share_of_rows from reports.duplicate_frequency"
            ),
            pictures=tuple(_gallery(con, picture)),
            verdicts=tuple(
                report.VerdictCount(*row)
                for row in con.execute(
                    "select verdict, count(*) from provenance.generations group by 1 order by 1"
                ).fetchall()
            ),
            generations_searched=report.GenerationsSearched(*searched),
        )
    )


def _one(con: duckdb.DuckDBPyConnection, query: str) -> tuple:
    return con.execute(query).fetchall()[0]


def _rows[T](con: duckdb.DuckDBPyConnection, kind: Callable[..., T], query: str) -> tuple[T, ...]:
    return tuple(kind(*row) for row in con.execute(query).fetchall())


def _gallery(con: duckdb.DuckDBPyConnection, picture: Callable[[int], Pixels]) -> Iterator[report.RepeatedPicture]:
    names = [field.name for field in fields(report.RepeatedPicture) if field.name != "thumbnail"]
    query = f"select {', '.join(names)} from reports.repeated_pictures limit {_GALLERY}"  # noqa: S608
    for row in con.execute(query).fetchall():
        values = dict(zip(names, row, strict=True))
        lists = {name: tuple(values[name]) for name in ("hosts", "licenses", "captions")}
        yield report.RepeatedPicture(**(values | lists), thumbnail=_thumbnail(picture, values["representative_id"]))


def _thumbnail(picture: Callable[[int], Pixels], sample_id: int) -> bytes | None:
    try:
        return report.thumbnail(picture(sample_id))
    except (OSError, ValueError):
        return None  # the page says that the picture could not be read
