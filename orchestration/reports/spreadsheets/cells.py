"""The cells of a table as SQL, so that DuckDB makes them safe while it reads.

What belongs here: building a SELECT of flat, safe cells from a table of any column types. What does not: which text is
dangerous (`transforms/reports/spreadsheets/formulas.py`), files (`reports/exports.py`).
"""

import duckdb
from duckdb.sqltypes import DuckDBPyType

from orchestration.warehouse.queries import quoted
from transforms.reports.spreadsheets.formulas import AFTER_SEPARATOR, AT_START, LIST_SEPARATOR, neutralise

_WHOLE = {f"{sign}{size}int" for sign in ("", "u") for size in ("tiny", "small", "big", "huge")}
_NUMBERS = {*_WHOLE, "integer", "uinteger", "float", "double", "decimal"}
_TIMES = {"date", "time", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_PLAIN = {*_NUMBERS, *_TIMES, "boolean"}


def safe_select(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return a SELECT of a table in which every cell is ready for a spreadsheet.

    Structs become dotted columns. Lists become one text joined by "; ", without their nulls; structs and maps inside
    lists become JSON. Binary values become hexadecimal text. Text is neutralised, column names included. Numbers,
    booleans, dates, times and nulls stay as they are.

    Args:
        con: a connection that knows the table.
        table: The table as a query writes it; never a name from outside.
    """
    relation = con.table(table)
    cells = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        cells += _cells(name, quote_name(name), kind)
    return f"select {', '.join(cells)} from {table}"  # noqa: S608 -- names are quoted


def neutralise_sql(text: str) -> str:
    """Return the SQL expression that neutralises the text expression `text`, as `formulas.neutralise` does.

    Nearly every text begins with a letter or a digit and holds no separator. Such a text is returned after a few
    comparisons, because a regular expression costs more than writing the cell.
    """
    separated = " or ".join(f"contains({text}, {separator})" for separator in ("';'", "chr(9)", "chr(10)", "chr(13)"))
    replaced = f"regexp_replace({text}, {_AFTER_SEPARATOR}, '\\1''\\2', 'g')"
    inside = f"case when {separated} then {replaced} else {text} end"
    begins_plainly = f"({text} >= 'A' and {text} < chr(127) or {text} >= '0' and {text} < '=')"
    return f"case when {begins_plainly} then {inside} else regexp_replace({inside}, {_AT_START}, '''\\1') end"


def quote_name(name: str) -> str:
    """Quote a name as an identifier of DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def _cells(name: str, value: str, kind: DuckDBPyType) -> list[str]:
    if kind.id == "struct":
        parts = _children(kind)
        return [cell for part, of in parts for cell in _cells(f"{name}.{part}", f"{value}.{quote_name(part)}", of)]
    return [f"{_cell(value, kind)} as {quote_name(neutralise(name))}"]


def _cell(value: str, kind: DuckDBPyType) -> str:
    if kind.id in _PLAIN:
        return value
    text = _text(value, kind)
    return text if _innermost(kind).id in _NUMBERS else neutralise_sql(text)  # a minus before a number is no formula


def _text(value: str, kind: DuckDBPyType) -> str:
    if kind.id == "map":
        return _join(f"map_entries({value})", "to_json(element)")
    if kind.id in ("list", "array"):
        inner = _children(kind)[0][1]
        return _join(value if kind.id == "list" else f"{value}::{inner}[]", _text("element", inner))
    if kind.id == "struct":
        return f"to_json({value})::varchar"
    if kind.id == "blob":
        return f"lower(hex({value}))"
    return f"{value}::varchar"


def _join(values: str, element: str) -> str:
    if element != "element::varchar":
        values = f"list_transform({values}, lambda element: {element})"
    return f"array_to_string({values}, {quoted(LIST_SEPARATOR)})"


def _innermost(kind: DuckDBPyType) -> DuckDBPyType:
    while kind.id in ("list", "array"):
        kind = _children(kind)[0][1]
    return kind


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return [(name, of) for name, of in kind.children if isinstance(of, DuckDBPyType)]  # an array also has its size


def _re2(pattern: str) -> str:
    """Return a pattern as a literal for RE2, with every character that is not printable ASCII as its number."""
    return quoted("".join(c if " " <= c <= "~" else f"\\x{{{ord(c):x}}}" for c in pattern))


_AT_START, _AFTER_SEPARATOR = _re2(AT_START), _re2(AFTER_SEPARATOR)
