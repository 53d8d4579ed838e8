"""Filters over fact tables, in the SQL that Lance reads.

What belongs here: quoting values from the open web, and building conditions. What does not: reading (`facts/table.py`),
or SQL of DuckDB, which binds its values.
"""

from collections.abc import Iterable


def literal(value: str | int) -> str:
    """Quote a text, or write a whole number."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(int(value))


def equals(column: str, value: str | int) -> str:
    """Return the condition that a column has a value.

    Args:
        column: A name from the code; it is not quoted.
        value: Any text, or a whole number.
    """
    return f"{column} = {literal(value)}"


def is_in(column: str, values: Iterable[str] | Iterable[int]) -> str:
    """Return the condition that a column has one of some values. Without values, no row satisfies it.

    Args:
        column: A name from the code; it is not quoted.
        values: Any texts, or whole numbers.
    """
    listed = ", ".join(literal(value) for value in values)
    return f"{column} in ({listed})" if listed else "false"


def between(column: str, first: str | int, last: str | int) -> str:
    """Return the condition that a column is between two values.

    Args:
        column: A name from the code; it is not quoted.
        first: The least value, included.
        last: The greatest value, included.
    """
    return f"{column} >= {literal(first)} and {column} <= {literal(last)}"
