"""The curators' tables as one Excel workbook: a sheet that says what this is, then a sheet a table.

What belongs here: which sheets there are and what is said about them. What does not: cells
(`transforms/reports/excel.py`), what makes text safe (`reports/spreadsheet_sql.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import xlsxwriter

from orchestration.reports.spreadsheet_sql import safe_select
from transforms.pictures import Pixels
from transforms.reports import excel, thumbnails
from transforms.reports.formulas import CELL, neutralise

GALLERY = "reports.repeated_pictures"
"""The table whose first rows are shown with their pictures."""
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
    picture: Callable[[int], Pixels],
    rows: int = excel.ROWS,
) -> None:
    """Write published tables as a workbook.

    tables: as `stage.table`. picture: reads a training row's pixels. rows: of a sheet, after which another begins.
    """
    with excel.book(path) as book:
        about, written = book.add_worksheet("About"), []
        for table in tables:
            thumbnails = tuple(_thumbnails(con, picture)) if table == GALLERY else ()
            meanings, query = _meanings(con, table), safe_select(con, table)
            reader = con.cursor().execute(query).to_arrow_reader(_BATCH)  # another query of `con` would cut it short
            made = excel.Table(table.partition(".")[2], reader, meanings, thumbnails)
            written.append((table, excel.write(book, made, rows)))
        _describe(con, book, about, written)


def _thumbnails(con: duckdb.DuckDBPyConnection, picture: Callable[[int], Pixels]) -> Iterator[excel.Thumbnail]:
    shown = f"select representative_id, unsafe from {GALLERY} limit {_PICTURES}"  # noqa: S608 -- our own name
    for sample_id, unsafe in con.execute(shown).fetchall():
        if unsafe:
            yield "flagged unsafe"
            continue
        try:
            yield thumbnails.thumbnail(picture(sample_id), _LONG_SIDE)
        except (OSError, ValueError):
            yield "could not be read"


def _meanings(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Return what the data dictionary says of the columns."""
    return dict(
        con.execute(
            "select column_name, comment from duckdb_columns() "
            "where schema_name || '.' || table_name = ? and comment is not null",
            [table],
        ).fetchall()
    )


def _describe(
    con: duckdb.DuckDBPyConnection,
    book: xlsxwriter.Workbook,
    sheet: xlsxwriter.worksheet.Worksheet,
    written: Sequence[tuple[str, list[tuple[str, int]]]],
) -> None:
    bold, wrap = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 90)
    at = 0

    def say(left: str, right: str = "", form: xlsxwriter.format.Format | None = None) -> None:
        nonlocal at
        sheet.write_string(at, 0, left, form)
        sheet.write_string(at, 1, right, form or wrap)
        at += 1

    for left, right in _summary(con):
        say(left, right)
    say("")
    say("What was not searched", form=bold)
    for left, right in _coverage(con):
        say(left, right)
    say("")
    say("How to read this", form=bold)
    for note in _NOTES:
        say("", note)
    say("")
    say("Sheets", form=bold)
    for table, parts in written:
        [(comment,)] = con.execute(
            "select any_value(comment) from (select schema_name, table_name, comment from duckdb_tables() union all "
            "select schema_name, view_name, comment from duckdb_views()) where schema_name || '.' || table_name = ?",
            [table],
        ).fetchall()
        for number, (name, rows) in enumerate(parts, 1):
            split = f" Part {number} of {len(parts)}: a sheet holds no more rows." if len(parts) > 1 else ""
            say("", f"{rows:,} rows of {table}.{split} {comment or ''}".strip())
            sheet.write_url(at - 1, 0, f"internal:'{name}'!A1", string=name)


def _summary(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    [(version, published)] = con.execute(
        "select version, strftime(published_at at time zone 'UTC', '%Y-%m-%d %H:%M UTC') from warehouse.versions "
        "order by version desc limit 1"
    ).fetchall()
    yield "Raisonné", f"version {version} of the warehouse, published {published}"
    counted = con.execute("select dataset, count(*) from catalog.samples group by dataset order by dataset").fetchall()
    for dataset, rows in counted:
        yield "Training rows", f"{rows:,} of {neutralise(dataset)}"
    [(generations, searched, searchable)] = con.execute(
        "select count(*), min(searched), max(searchable) from provenance.generations"
    ).fetchall()
    if generations:
        yield "Generated images", f"{generations:,}, each compared with at least {searched:,} of {searchable:,} rows"


def _coverage(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    for dataset, fingerprint, expected, ok, low_quality, failed, missing in con.execute(
        "select dataset, fingerprint, expected, ok, low_quality, failed, missing from fingerprints.coverage "
        "order by dataset, fingerprint"
    ).fetchall():
        why = f"{low_quality:,} too flat, {failed:,} unreadable, {missing:,} without a picture"
        yield f"{neutralise(dataset)} by {fingerprint}", f"{expected - ok:,} of {expected:,} rows: {why}"
