"""A removal list for people: CSV and a workbook with small pictures, and what removed rows say of the rows that stay.

What belongs here: writing them from the temporary tables of a list. What does not: choosing the rows
(`reports/removal_lists.py`), the files for tools (`reports/removal_formats.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.reports.pictures import PictureReader
from orchestration.reports.spreadsheets.cells import safe_select
from orchestration.reports.spreadsheets.workbook import shown_or_why
from orchestration.warehouse.queries import query, quoted
from transforms.reports.spreadsheets import sheets

CSV, WORKBOOK, MERGED = "removal.csv", "removal.xlsx", "merged.parquet"
_PICTURES, _BATCH = 200, 10_000
_ORDER = "order by dataset, shard, row_number"
_NOTES = {
    "sample_id": "the row that goes",
    "kept_sample_id": "the row that stays in its place; empty where the whole picture goes",
    "distance_to_representative": "differing bits of 256 between the two perceptual hashes",
    "reason": "duplicate, decided (by a person: all rows of the picture go) or recalled (withdrawn)",
    "decided_by": "whose decision changed what goes or stays here",
    "license": "as the metadata states it; empty: unknown, which is not to say free",
}


@dataclass(frozen=True)
class RemovalOptions:
    """What a removal list has besides the files for tools.

    Attributes:
        pictures: Reads the pictures that the workbook shows. None: it shows none.
        workbook_rows: Rows of the workbook, the first ones; the CSV file has all.
        merge: Whether captions, licences and URLs of the rows that go are gathered for those that stay.
    """

    pictures: PictureReader | None = None
    workbook_rows: int = 20_000
    merge: bool = False


def write(con: duckdb.DuckDBPyConnection, folder: Path, options: RemovalOptions) -> list[str]:
    """Write the files for people.

    Args:
        con: A connection with the temporary tables `leaving` and `listed`, which have the rows that go.
        folder: The folder to write into.
        options: What is written.

    Returns:
        Sentences for the reader of the files.
    """
    select = f"{safe_select(con, 'listed')} {_ORDER}"
    con.execute(f"copy ({select}) to {quoted(str(folder / CSV))} (format csv, header)")
    shown = tuple(_thumbnails(con, options.pictures)) if options.pictures else ()
    with sheets.book(folder / WORKBOOK) as book:
        reader = con.execute(f"{select} limit {options.workbook_rows:d}").to_arrow_reader(_BATCH)
        sheets.write(book, sheets.SheetTable("removal", reader, _NOTES, shown))
    notes = []
    [(rows,)] = con.execute("select count(*) from leaving").fetchall()
    if rows > options.workbook_rows:
        notes.append(f"removal.xlsx has the first {options.workbook_rows:,} of {rows:,} rows; removal.csv has all.")
    if options.merge:
        con.execute(
            f"copy ({query('removal/merged')}) to {quoted(str(folder / MERGED))} (format parquet, compression zstd)"
        )
        notes.append("merged.parquet has a row for each that stays in place of others, with what all of them say.")
    return notes


def _thumbnails(con: duckdb.DuckDBPyConnection, pictures: PictureReader) -> Iterator[sheets.Thumbnail]:
    places = "listed join catalog.samples using (sample_id, dataset, shard, row_number)"
    first = f"select sample_id, unsafe from {places} {_ORDER} limit {_PICTURES}"  # noqa: S608 -- our own names
    return shown_or_why(con.execute(first).fetchall(), pictures)
