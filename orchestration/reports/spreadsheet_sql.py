"""Rows as a spreadsheet takes them, said in SQL, so that DuckDB makes them safe as fast as it reads them.

What belongs here: from a table of any column types to a SELECT of flat, safe cells. What does not: what is unsafe
(`transforms/reports/formulas.py`), files.
"""

import duckdb
from duckdb.sqltypes import DuckDBPyType

from transforms.reports.formulas import AFTER_SEPARATOR, AT_START, LIST_SEPARATOR, neutralise

_WHOLE = {f"{sign}{size}int" for sign in ("", "u") for size in ("tiny", "small", "big", "huge")}
_NUMBERS = {*_WHOLE, "integer", "uinteger", "float", "double", "decimal"}
_TIMES = {"date", "time", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_PLAIN = {*_NUMBERS, *_TIMES, "boolean"}


def safe_select(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return a SELECT of the table with every cell ready for a spreadsheet.

    table: as a query writes it, of our own making. Structs become dotted columns, lists one text joined by "; "
    (without their nulls; structs and maps inside lists as JSON), binary hexadecimal text, and text is neutralised,
    column names included. Numbers, booleans, dates and times stay as they are, and nulls stay null.
    """
    relation = con.table(table)
    cells = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        cells += _cells(name, quoted(name), kind)
    return f"select {', '.join(cells)} from {table}"  # noqa: S608 -- names are quoted


def neutral(text: str) -> str:
    """Return the SQL expression that neutralises a text expression, as `spreadsheets.neutralise` does.

    Nearly every text begins with a letter or a digit and holds no separator: those are left as they are after a few
    comparisons, for a regular expression costs more than writing the cell.
    """
    separated = " or ".join(f"contains({text}, {separator})" for separator in ("';'", "chr(9)", "chr(10)", "chr(13)"))
    replaced = f"regexp_replace({text}, {_AFTER_SEPARATOR}, '\\1''\\2', 'g')"
    inside = f"case when {separated} then {replaced} else {text} end"
    begins_plainly = f"({text} >= 'A' and {text} < chr(127) or {text} >= '0' and {text} < '=')"
    return f"case when {begins_plainly} then {inside} else regexp_replace({inside}, {_AT_START}, '''\\1') end"


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def _cells(name: str, value: str, kind: DuckDBPyType) -> list[str]:
    if kind.id == "struct":
        parts = _children(kind)
        return [cell for part, of in parts for cell in _cells(f"{name}.{part}", f"{value}.{quoted(part)}", of)]
    return [f"{_cell(value, kind)} as {quoted(neutralise(name))}"]


def _cell(value: str, kind: DuckDBPyType) -> str:
    if kind.id in _PLAIN:
        return value
    text = _text(value, kind)
    return text if _innermost(kind).id in _NUMBERS else neutral(text)  # nobody's words: their minus runs nothing


def _text(value: str, kind: DuckDBPyType) -> str:
    if kind.id == "map":
        return _joined(f"map_entries({value})", "to_json(element)")
    if kind.id in ("list", "array"):
        inner = _children(kind)[0][1]
        return _joined(value if kind.id == "list" else f"{value}::{inner}[]", _text("element", inner))
    if kind.id == "struct":
        return f"to_json({value})::varchar"
    if kind.id == "blob":
        return f"lower(hex({value}))"
    return f"{value}::varchar"


def _joined(values: str, element: str) -> str:
    if element != "element::varchar":
        values = f"list_transform({values}, lambda element: {element})"
    return f"array_to_string({values}, {literal(LIST_SEPARATOR)})"


def _innermost(kind: DuckDBPyType) -> DuckDBPyType:
    while kind.id in ("list", "array"):
        kind = _children(kind)[0][1]
    return kind


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return [(name, of) for name, of in kind.children if isinstance(of, DuckDBPyType)]  # an array also has its size


def _re2(pattern: str) -> str:
    """Return a pattern as a literal for RE2, with what is not printable ASCII by number."""
    return literal("".join(c if " " <= c <= "~" else f"\\x{{{ord(c):x}}}" for c in pattern))


_AT_START, _AFTER_SEPARATOR = _re2(AT_START), _re2(AFTER_SEPARATOR)
