"""Arrow batches as sheets of an Excel workbook: real types, a frozen header, as many sheets as the rows need.

What belongs here: cells, and the limits of Excel. What does not: choosing the tables, and the text of the workbook
(`orchestration/reports/spreadsheets/workbook.py`); which text is dangerous (`reports/spreadsheets/formulas.py`). Text
that comes here is neutralised already.

XlsxWriter streams (`constant_memory`): a written row leaves memory, pictures and notes stay until the end. Every value
goes through the method of its type, so that no text is read as a formula, a number or a link.
"""

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from transforms.reports.spreadsheets.formulas import EXACT, fit

ROWS = 1_048_576  # of an Excel sheet, the header included
NAME = 31  # characters of a sheet's name
_WIDEST, _NARROWEST = 60, 9  # characters of a column
_THUMBNAIL = 96  # pixels of a cell that holds one
_AS_TEXT = "Text, not a number: a spreadsheet keeps fifteen digits of a number."

type Thumbnail = bytes | str
"""A JPEG, or why there is none."""


class SheetError(RuntimeError):
    """Excel cannot hold a cell."""


@dataclass(frozen=True)
class SheetTable:
    """A table to be written into a workbook.

    Attributes:
        name: Name of its sheets.
        reader: Its rows, with flat columns and neutralised text.
        notes: Note of each column heading, by column name.
        thumbnails: Pictures of the first rows, in order.
    """

    name: str
    reader: pa.RecordBatchReader
    notes: Mapping[str, str] = field(default_factory=dict)
    thumbnails: tuple[Thumbnail, ...] = ()


@contextmanager
def book(path: Path) -> Iterator[xlsxwriter.Workbook]:
    """Open a workbook for writing. The file is complete when the context ends; temporary files are beside it."""
    options = {
        "constant_memory": True,
        "tmpdir": str(path.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    try:
        with xlsxwriter.Workbook(str(path), options) as workbook:
            workbook.use_zip64()
            yield workbook
    except FileCreateError as error:  # the file system refused the assembled file
        raise error.args[0] from None


def write(workbook: xlsxwriter.Workbook, table: SheetTable, rows: int = ROWS) -> list[tuple[str, int]]:
    """Write a table on one or more sheets.

    Args:
        workbook: An open workbook, from `book`.
        table: The table.
        rows: Rows of a sheet, the header included; more rows go on a further sheet.

    Returns:
        The name of each sheet and its number of rows.

    Raises:
        SheetError: a sheet cannot hold a cell, for example because the table has too many columns.
    """
    shift = 1 if table.thumbnails else 0
    columns = [_column(workbook, index + shift, arrow_field) for index, arrow_field in enumerate(table.reader.schema)]
    written: list[tuple[str, int]] = []
    sheet, at = _add_sheet(workbook, table, columns, written), 0
    for batch in table.reader:
        _widen(columns, batch)
        for cells in zip(*(column.values(batch) for column in columns), strict=True):
            if at == rows - 1:
                _end(sheet, columns, at, table)
                written[-1] = (written[-1][0], at)
                sheet, at = _add_sheet(workbook, table, columns, written), 0
            at += 1
            if table.thumbnails and len(written) == 1 and at <= len(table.thumbnails):
                _put_thumbnail(sheet, at, table.thumbnails[at - 1])
            for column, value in zip(columns, cells, strict=True):
                if value is not None and column.put(sheet, at, value):
                    raise SheetError(f"sheet {written[-1][0]}, row {at}: Excel cannot hold {column.name}")
    _end(sheet, columns, at, table)
    written[-1] = (written[-1][0], at)
    return written


@dataclass
class _Column:
    name: str
    index: int
    kind: pa.DataType
    text: bool
    format: Format | None
    width: int

    def values(self, batch: pa.RecordBatch) -> list[Any]:
        column = batch.column(self.name)
        if pa.types.is_timestamp(self.kind):  # in UTC, of microseconds: nanoseconds need pandas
            column = column.cast(pa.timestamp("us", self.kind.tz), safe=False).cast(pa.timestamp("us"))
        return column.to_pylist()

    def put(self, sheet: Worksheet, row: int, value: Any) -> int:  # noqa: ANN401 -- whatever a table holds
        if isinstance(value, bool):
            return sheet.write_boolean(row, self.index, value)
        if isinstance(value, int | float | Decimal) and not self.text and _countable(value):
            return sheet.write_number(row, self.index, value, self.format)
        if isinstance(value, time) or (isinstance(value, date) and value.year >= 1900):
            return sheet.write_datetime(row, self.index, value, self.format)
        return _put_text(sheet, row, self.index, str(value))


def _countable(value: float | Decimal) -> bool:
    return abs(value) <= EXACT if isinstance(value, int | Decimal) else math.isfinite(value)


def _put_text(sheet: Worksheet, row: int, column: int, text: str, form: Format | None = None) -> int:
    # XlsxWriter takes a text from <r> to </r> for its own markup and writes it unescaped.
    return sheet.write_string(row, column, fit(f"'{text}" if text.startswith("<r>") else text), form)


def _column(workbook: xlsxwriter.Workbook, index: int, arrow_field: pa.Field) -> _Column:
    kind = arrow_field.type
    text = pa.types.is_uint64(kind) or (arrow_field.name.endswith("_id") and pa.types.is_integer(kind))
    number_format = None
    if pa.types.is_timestamp(kind):
        number_format = "yyyy-mm-dd hh:mm:ss"
    elif pa.types.is_date(kind):
        number_format = "yyyy-mm-dd"
    elif pa.types.is_time(kind):
        number_format = "hh:mm:ss"
    elif pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        number_format = "#,##0" if pa.types.is_integer(kind) or kind.scale == 0 else None
    form = workbook.add_format({"num_format": number_format}) if number_format else None
    width = 19 if pa.types.is_timestamp(kind) else len(arrow_field.name) + 3  # room for the arrow of the filter
    return _Column(arrow_field.name, index, kind, text, form, max(_NARROWEST, width))


def _add_sheet(
    workbook: xlsxwriter.Workbook, table: SheetTable, columns: list[_Column], written: list[tuple[str, int]]
) -> Worksheet:
    name = table.name[:NAME] if not written else f"{table.name[: NAME - 5]} ({len(written) + 1})"
    sheet = workbook.add_worksheet(name)
    sheet.freeze_panes(1, 1)
    bold = workbook.add_format({"bold": True, "bottom": 1})
    if table.thumbnails:
        _put_text(sheet, 0, 0, "picture", bold)
    for column in columns:
        _put_text(sheet, 0, column.index, column.name, bold)
        notes = [table.notes.get(column.name, ""), _AS_TEXT if column.text else ""]
        if not column.index and written:
            notes.append(f"Continues the sheet {written[-1][0]}, which is full.")
        if note := "\n".join(filter(None, notes)):
            sheet.write_comment(0, column.index, note, {"x_scale": 2, "y_scale": 1 + len(note) // 200})
    written.append((name, 0))
    return sheet


def _widen(columns: list[_Column], batch: pa.RecordBatch) -> None:
    """Make columns wide enough for the first rows of a batch."""
    for column, values in ((column, column.values(batch.slice(0, 50))) for column in columns):
        if pa.types.is_string(column.kind) or column.text:
            longest = max((len(str(value)) for value in values if value is not None), default=0)
            column.width = max(column.width, min(longest + 1, _WIDEST))


def _end(sheet: Worksheet, columns: list[_Column], rows: int, table: SheetTable) -> None:
    for column in columns:
        sheet.set_column(column.index, column.index, column.width)
    if table.thumbnails:
        sheet.set_column_pixels(0, 0, _THUMBNAIL + 8)
    sheet.autofilter(0, 0, rows, columns[-1].index)


def _put_thumbnail(sheet: Worksheet, row: int, thumbnail: Thumbnail) -> None:
    sheet.set_row_pixels(row, _THUMBNAIL + 8)
    if isinstance(thumbnail, str):
        _put_text(sheet, row, 0, thumbnail)
        return
    # object_position 1: the picture moves with its row when the sheet is sorted
    options = {"image_data": io.BytesIO(thumbnail), "x_offset": 4, "y_offset": 4, "object_position": 1}
    sheet.insert_image(row, 0, "thumbnail.jpg", options)
