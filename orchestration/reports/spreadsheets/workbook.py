"""The curators' tables as one Excel workbook: a sheet about the workbook, then a sheet for each table.

What belongs here: the list of sheets, and the text of the workbook about them. What does not: writing cells
(`transforms/reports/spreadsheets/sheets.py`), making text safe (`reports/spreadsheets/cells.py`).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import duckdb
import xlsxwriter

from orchestration.reports import cases
from orchestration.reports.page_data import publication, rows
from orchestration.reports.pictures import PictureReader
from orchestration.reports.spreadsheets.cells import safe_select
from orchestration.warehouse import lake
from transforms.readable import count, printable
from transforms.reports.drawings import thumbnails
from transforms.reports.spreadsheets import sheets
from transforms.reports.spreadsheets.formulas import CELL, neutralise

GALLERY = "reports.repeated_pictures"
"""The table whose first rows show their pictures."""
_PICTURES, _LONG_SIDE = 200, 96
_BATCH = 10_000

_NOTES = (
    "A verdict names a likely source, never the source. “No match found” says nothing about what was not searched.",
    "Ids have up to 20 digits and are text, as a spreadsheet keeps 15 digits of a number. Times are UTC.",
    "Text that a spreadsheet might run as a formula begins with an apostrophe, and web addresses are text, not links.",
    f"A cell holds {CELL:,} characters; longer text is cut, and says so. Parquet holds everything as it is.",
    f"The first {_PICTURES} rows of {GALLERY.partition('.')[2]} show their picture, made small and encoded anew; those "
    "that are flagged unsafe do not. Column headings say what a column means when pointed at.",
)


def write(
    con: duckdb.DuckDBPyConnection,
    tables: Sequence[str],
    path: Path,
    pictures: PictureReader,
    most: int,
    sheet_rows: int = sheets.ROWS,
) -> None:
    """Write published tables as a workbook.

    Args:
        con: a connection to a published version.
        tables: The tables, as `stage.table`.
        path: The file to write.
        pictures: Reader of the pictures that the sheets show.
        most: Rows of each table, the first ones.
        sheet_rows: Rows of a sheet, after which another one begins.
    """
    with sheets.book(path) as book:
        about, written = book.add_worksheet("About"), []
        for table in tables:
            shown = tuple(_thumbnails(con, pictures)) if table == GALLERY else ()
            notes = {row["column_name"]: row["comment"] for row in rows(con, "column_meanings", table=table)}
            select = f"{safe_select(con, table)} limit {most:d}"
            reader = lake.cursor(con).execute(select).to_arrow_reader(_BATCH)  # a query of `con` would cut it short
            sheet_table = sheets.SheetTable(table.partition(".")[2], reader, notes, shown)
            written.append((table, sheets.write(book, sheet_table, sheet_rows)))
        _describe(con, book, about, written)


def _thumbnails(con: duckdb.DuckDBPyConnection, pictures: PictureReader) -> Iterator[sheets.Thumbnail]:
    listed = rows(con, "workbook_pictures", most=_PICTURES)
    return shown_or_why([(row["representative_id"], row["unsafe"]) for row in listed], pictures)


def shown_or_why(listed: Sequence[tuple[int, bool]], pictures: PictureReader) -> Iterator[sheets.Thumbnail]:
    """Yield for each training row a small copy of its picture, or why there is none.

    Args:
        listed: The rows, and whether each is flagged unsafe.
        pictures: Reads the pictures.
    """
    for made in pictures.each_unflagged(listed, partial(thumbnails.thumbnail, long_side=_LONG_SIDE)):
        if made is None:
            yield "flagged unsafe"
        else:
            yield "could not be read" if isinstance(made, Exception) else made


def _describe(
    con: duckdb.DuckDBPyConnection,
    book: xlsxwriter.Workbook,
    sheet: xlsxwriter.worksheet.Worksheet,
    written: Sequence[tuple[str, list[tuple[str, int]]]],
) -> None:
    bold, wrap = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 90)
    comments = {row["name"]: row["comment"] for row in rows(con, "table_names")}
    at = 0

    def add(left: str, right: str = "", form: xlsxwriter.format.Format | None = None) -> None:
        nonlocal at
        sheet.write_string(at, 0, left, form)
        sheet.write_string(at, 1, right, form or wrap)
        at += 1

    for left, right in _summary(con):
        add(left, right)
    add("")
    add("What was not searched", form=bold)
    for left, right in (*_coverage(con), *_not_taken(con)):
        add(left, right)
    add("")
    add("How to read this", form=bold)
    for note in _NOTES:
        add("", note)
    add("")
    add("Sheets", form=bold)
    for table, parts in written:
        for number, (name, listed) in enumerate(parts, 1):
            split = f" Part {number} of {len(parts)}: a sheet holds no more rows." if len(parts) > 1 else ""
            add("", f"{count(listed, 'row')} of {table}.{split} {comments[table] or ''}".strip())
            sheet.write_url(at - 1, 0, f"internal:'{name}'!A1", string=name)
        [(there,)] = con.execute(f"select count(*) from {table}").fetchall()  # noqa: S608 -- our own name
        if there > (held := sum(listed for _, listed in parts)):
            add("", f"The first {held:,} of {there:,} rows; the CSV and Parquet files hold all (reports.workbook).")


def _summary(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    version = publication(con)
    yield "Raisonné", f"version {version.number} of the warehouse, published {version.published_at}"
    for row in rows(con, "dataset_rows"):
        yield "Training rows", f"{row['rows']:,} of {neutralise(row['dataset'])}"
    [found] = rows(con, "workbook_generations")
    if found["generations"]:
        searched = f"each compared with at least {found['searched']:,} of {count(found['searchable'], 'row')}"
        if unread := found["generations"] - found["compared"]:
            searched = f"{unread:,} could not be read and were not searched for" + (
                f"; the others were {searched}" if found["compared"] else ""
            )
        yield "Generated images", f"{found['generations']:,}: {searched}"


def _coverage(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    for row in rows(con, "dataset_coverage"):
        why = (
            f"{row['low_quality']:,} too flat, {row['failed'] - row['not_downloaded']:,} unreadable, "
            f"{row['not_downloaded']:,} not downloaded, {row['missing']:,} missing"
        )
        gap = row["expected"] - row["ok"]
        yield (
            f"{neutralise(row['dataset'])} by {row['fingerprint']}",
            f"{gap:,} of {count(row['expected'], 'row')}: {why}",
        )


def _not_taken(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    found = cases.not_taken(con)
    for each in found.listed:
        others = f" and {count(each.places - 1, 'other place')}" if each.places > 1 else ""
        where = f"in {each.place}{others}: {each.reason}, such as {each.example}"
        yield f"{neutralise(each.name)}: files not taken", neutralise(printable(f"{each.files:,} {where}"))
    if found.reasons > len(found.listed):
        yield "", f"{count(found.reasons - len(found.listed), 'other reason')}: see catalog.not_taken"
