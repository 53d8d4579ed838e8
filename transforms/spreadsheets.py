"""Text that a spreadsheet shows instead of running.

What belongs here: making a table safe to open in Excel, LibreOffice or Google Sheets. What does not: writing CSV
or XLSX files; Parquet, which keeps every value as it was.

A cell that starts with `= + - @`, a tab or a line break may run as a formula, and captions, hosts and licences are
text that strangers wrote. An apostrophe before it makes it text (OWASP, "CSV Injection",
https://owasp.org/www-community/attacks/CSV_Injection). The same page warns that a separator inside a value can start
a new cell: a comma-separated file opened where the list separator is `;` splits inside quotes. Hence formula
characters after `;`, tab or a line break get the apostrophe too.
"""

import re

import polars as pl
import pyarrow as pa

LIST_SEPARATOR = "; "

# Plain characters only, so that Python's and Polars' regular expressions read the classes alike.
_BLANK = "[\x00-\x20\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*"
_FORMULA = "=+@＝＋－＠﹢﹣﹦﹫\\-"
_AT_START = f"^({_BLANK}[{_FORMULA}\t\r\n\x00])"
_AFTER_SEPARATOR = f"([;\t\r\n]{_BLANK})([{_FORMULA}])"


def neutralise(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would take for the start of a formula.

    Applying it twice changes nothing more. Negative numbers written as text count as formulas.
    """
    return re.sub(_AT_START, r"'\1", re.sub(_AFTER_SEPARATOR, r"\1'\2", text))


def safe_table(table: pa.Table) -> pa.Table:
    """Return the table with every cell ready for CSV: flat, and with no text that runs as a formula.

    Structs become dotted columns, lists one text joined by "; " (without their nulls; structs inside lists as JSON),
    binary hexadecimal text, and text is neutralised, column names included. Numbers, booleans, dates and times stay
    the very same columns, and nulls stay null.
    """
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    columns = [_safe_column(column) for column in table.columns]
    return pa.table(columns, names=[neutralise(name) for name in table.column_names])


def _safe_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if _is_plain(column.type):
        return column
    if pa.types.is_fixed_size_list(column.type):  # Polars misreads the nulls of a slice
        column = column.cast(pa.list_(column.type.value_type))
    cells = pl.Series("cell", column)
    text = cells.to_frame().select(_as_text(pl.col("cell"), cells.dtype)).to_series()
    if not _innermost(cells.dtype).is_numeric():  # nobody's words: the minus of a number runs nothing
        text = _neutral(text)
    return pa.chunked_array([text.to_arrow().cast(pa.large_string())])


def _is_plain(type_: pa.DataType) -> bool:
    return pa.types.is_primitive(type_) or pa.types.is_decimal(type_) or pa.types.is_null(type_)


def _neutral(text: pl.Series) -> pl.Series:
    cell = pl.col(text.name)
    suspect = cell.str.contains(_AT_START) | cell.str.contains(_AFTER_SEPARATOR)  # cheaper than replacing in every cell
    rows = text.to_frame().select(suspect.arg_true()).to_series()
    if rows.is_empty():
        return text
    safe = text.gather(rows).str.replace_all(_AFTER_SEPARATOR, "${1}'${2}").str.replace(_AT_START, "'${1}")
    return text.scatter(rows, safe)


def _as_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Array):
        value, dtype = value.arr.to_list(), pl.List(dtype.inner)
    if isinstance(dtype, pl.List):
        elements = value.list.eval(_as_text(pl.element(), _inner(dtype)))
        return elements.list.join(LIST_SEPARATOR, ignore_nulls=True)
    if isinstance(dtype, pl.Struct):
        return value.struct.json_encode()
    if isinstance(dtype, pl.Binary):
        return value.bin.encode("hex")
    return value.cast(pl.String)


def _innermost(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.List | pl.Array):
        dtype = _inner(dtype)
    return dtype


def _inner(dtype: pl.List | pl.Array) -> pl.DataType:
    return dtype.inner() if isinstance(dtype.inner, type) else dtype.inner
