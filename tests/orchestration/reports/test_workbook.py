"""The workbook as a spreadsheet reads it: real types, text that does nothing, sheets that end where Excel's do."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from conftest import Landing
from PIL import Image

from orchestration.reports import exports
from orchestration.reports.pictures import PictureReader
from orchestration.reports.spreadsheets import workbook
from orchestration.reports.spreadsheets.cells import safe_select
from tests.late_import import LateImport
from transforms.reports.spreadsheets import sheets
from transforms.reports.spreadsheets.formulas import CELL, neutralise

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

openpyxl: Any = LateImport("openpyxl")

HOSTILE = [
    '=HYPERLINK("http://evil.example")',
    "javascript:alert(1)",
    "https://plain.example/a.jpg",
    "<r><t>x</t></is></c><c><f>1+1</f></c></r>",
    "<img src=x onerror=alert(1)>",
    "\u202egnp.exe",
    "{=1+1}",
    "12e5",
    "a\x01b\ufffe_x0041_",
    "x" * (CELL + 1),
]


def saved(con: duckdb.DuckDBPyConnection, path: Path, *, rows: int = sheets.ROWS) -> "Workbook":
    with sheets.book(path) as book:
        reader = con.execute(safe_select(con, "made")).to_arrow_reader(3)
        sheets.write(book, sheets.SheetTable("made", reader), rows)
    return openpyxl.load_workbook(path)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def test_hostile_text_is_text(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    con.execute("create table made as select unnest(?::varchar[]) as caption", [HOSTILE])
    sheet = saved(con, tmp_path / "made.xlsx")["made"]
    cells = [sheet.cell(row, 1) for row in range(2, sheet.max_row + 1)]
    assert {(cell.data_type, cell.hyperlink) for cell in cells} == {("s", None)}
    plain = [neutralise(text) for text in HOSTILE if not text.startswith(("<r>", "a\x01", "xxx"))]
    shown = [cell.value for cell in cells]
    assert [text for text in shown if text in plain] == plain
    assert shown[HOSTILE.index("<r><t>x</t></is></c><c><f>1+1</f></c></r>")].startswith("'<r>")
    assert shown[8].count("_x0041_") == 1 or "A" in shown[8]
    assert len(shown[9]) == CELL and shown[9].endswith(f"… [cut: {CELL + 1:,} characters]")


def test_types_are_real_and_nothing_is_rounded(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    con.execute("""create table made as select 706582359591354374::ubigint as sample_id, 7::bigint as cluster_id,
        12::bigint as rows, 2::bigint ** 60 as seed, (2::bigint ** 60)::bigint as great, 0.25 as share,
        'nan'::double as odd, true as recalled, timestamptz '2026-01-02 03:04:05+00' as at,
        date '1850-01-01' as long_ago,
        null::varchar as nothing""")
    con.execute("set timezone = 'Asia/Tokyo'")
    sheet = saved(con, tmp_path / "made.xlsx")["made"]
    head, row = ([cell.value for cell in cells] for cells in sheet.iter_rows())
    found = dict(zip(head, row, strict=True))
    assert found.pop("at").isoformat() == "2026-01-02T03:04:05"
    assert found == {
        "sample_id": "706582359591354374",
        "cluster_id": "7",
        "rows": 12,
        "seed": 2.0**60,
        "great": str(2**60),
        "share": 0.25,
        "odd": "nan",
        "recalled": True,
        "long_ago": "1850-01-01",
        "nothing": None,
    }
    assert "fifteen digits" in sheet["A1"].comment.text
    assert sheet["C1"].comment is None
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B2", "A1:K2")


@pytest.mark.parametrize(("rows", "parts"), [(0, [0]), (4, [4]), (5, [4, 1]), (12, [4, 4, 4])])
def test_a_sheet_that_is_full_is_continued(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, rows: int, parts: list[int]
) -> None:
    con.execute(f"create table made as select range as n from range({rows})")  # noqa: S608
    book = saved(con, tmp_path / "made.xlsx", rows=5)
    assert book.sheetnames == ["made", "made (2)", "made (3)"][: len(parts)]
    assert [sheet.max_row - 1 for sheet in book] == parts
    assert [row[0] for sheet in book for row in sheet.iter_rows(min_row=2, values_only=True)] == list(range(rows))
    assert [sheet["A1"].comment.text for sheet in book if sheet["A1"].comment] == [
        f"Continues the sheet {name}, which is full." for name in book.sheetnames[:-1]
    ]


def test_the_workbook_says_what_it_is_and_shows_pictures(sample: Landing, tmp_path: Path) -> None:
    shown: list[int] = []

    def picture(sample_id: int) -> np.ndarray:
        shown.append(sample_id)
        if len(shown) == 2:
            raise OSError("gone")
        return np.full((300, 200, 3), 200, np.uint8)

    with duckdb.connect(str(sample.home / "raisonne.duckdb"), read_only=True) as con:
        workbook.write(con, exports.TABLES, tmp_path / "all.xlsx", PictureReader(picture), 40, sheet_rows=30)
    book = openpyxl.load_workbook(tmp_path / "all.xlsx")
    about = "\n".join(f"{left}: {right}" for left, right, *_ in book["About"].iter_rows(values_only=True))
    [(version, rows)] = sample.query(
        "select max(version), (select count(*) from catalog.samples) from warehouse.versions"
    )
    assert f"version {version} of the warehouse" in about
    assert f"{rows} of laion-sample" in about
    unsearched = "7 of 342 rows: 0 too flat, 2 unreadable, 0 not downloaded, 5 missing"
    assert f"laion-sample by sscd_distilled: {unsearched}" in about
    for table in exports.TABLES:
        name = table.partition(".")[2]
        [(count,)] = sample.query(f"select count(*) from {table}")  # noqa: S608
        parts = [sheet for sheet in book if sheet.title == name or sheet.title.startswith(f"{name} (")]
        held = min(count, 40)
        assert sum(sheet.max_row - 1 for sheet in parts) == held, table
        assert len(parts) == max(1, -(-held // 29))
        assert (f"The first 40 of {count:,} rows; the CSV" in about) == (count > 40)
        assert f"{min(count, 29):,} rows of {table}." in about
    assert "Part 2 of 2: a sheet holds no more rows." in about
    _check_pictures(book["repeated_pictures"], shown, sample)


def _check_pictures(sheet: "Worksheet", shown: list[int], sample: Landing) -> None:
    repeated = sample.query("select representative_id, unsafe from reports.repeated_pictures")
    assert shown == [sample_id for sample_id, unsafe in repeated if not unsafe]
    texts = [row[0] for row in sheet.iter_rows(min_row=2, max_col=1, values_only=True)]
    assert texts.count("could not be read") == 1
    assert texts.count("flagged unsafe") == sum(unsafe for _, unsafe in repeated)
    assert {image.anchor._from.row for image in sheet._images} == {at + 1 for at, text in enumerate(texts) if not text}
    assert {Image.open(io.BytesIO(image._data())).size for image in sheet._images} == {(64, 96)}
    assert {row[2] for row in sheet.iter_rows(min_row=2, values_only=True)} == {str(i) for i, _ in repeated}
