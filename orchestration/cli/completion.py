"""What can follow in a query: the schemas, tables, columns, macros and keywords of an open database.

What belongs here: from the text before the cursor to suggestions, the likeliest first. What does not: the prompt that
shows them (`cli/repl.py`). DuckDB's own completion is an extension that must be downloaded, so it is not used.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb

_WORD = re.compile(r"[\w.]*$")
_WANTS_TABLE = re.compile(r"\b(from|join|describe|summarize|show)\s+$|\bfrom\s+[\w.]+(\s+\w+)?\s*,\s*$", re.I)
_ALIAS = re.compile(r"\b(?:from|join)\s+(\w+\.\w+)(?:\s+as)?\s+(\w+)", re.I)


@dataclass(frozen=True)
class Suggestion:
    """A text that may stand in place of the last `replaces` characters, and what it is."""

    text: str
    replaces: int
    kind: str


@dataclass(frozen=True)
class Words:
    """The words of a database. tables: `stage.table` → columns."""

    tables: Mapping[str, tuple[str, ...]]
    macros: tuple[str, ...]
    functions: tuple[str, ...]
    keywords: tuple[str, ...]

    def suggest(self, before: str, whole: str = "") -> list[Suggestion]:
        """Return what may follow `before`, the text up to the cursor; `whole` also names tables."""
        found = _WORD.search(before)
        word = found[0] if found else ""
        suggestions = {
            text: Suggestion(text, len(word), kind)
            for text, kind in reversed(list(self._candidates(before[: len(before) - len(word)], word, whole or before)))
            if text.lower().startswith(word.lower()) or (kind == "table" and _bare(text).startswith(word.lower()))
        }
        return list(suggestions.values())[::-1]

    def _candidates(self, before: str, word: str, whole: str) -> Iterator[tuple[str, str]]:
        owner, dot, _ = word.rpartition(".")
        if dot:
            table = self._named(owner, whole)
            yield from ((f"{owner}.{column}", "column") for column in self.tables.get(table, ()))
            yield from ((name, "table") for name in self.tables if name.startswith(f"{owner.lower()}."))
            return
        tables = [*((name, "table") for name in self.tables), *((f"{name}(", "macro") for name in self.macros)]
        if _WANTS_TABLE.search(before):
            yield from tables
            return
        if not word:
            return  # anything may follow
        read = [name for name in self.tables if re.search(rf"\b{re.escape(name)}\b", whole, re.I)]
        yield from ((column, "column") for name in read or self.tables for column in self.tables[name])
        yield from tables
        yield from ((name, "keyword") for name in self.keywords)
        yield from ((f"{name}(", "function") for name in self.functions)

    def _named(self, owner: str, whole: str) -> str:
        """Return the table that an alias, a bare name or a full name stands for."""
        aliases = {alias.lower(): table.lower() for table, alias in _ALIAS.findall(whole)}
        bare = {_bare(name): name for name in self.tables}
        return aliases.get(owner.lower(), bare.get(owner.lower(), owner.lower()))


def words(con: duckdb.DuckDBPyConnection) -> Words:
    """Read the words of an open database."""
    tables: dict[str, tuple[str, ...]] = {}
    for table, column in con.execute(
        "select schema_name || '.' || table_name, column_name from duckdb_columns() where not internal "
        "order by schema_name, table_name, column_index"
    ).fetchall():
        tables[table] = (*tables.get(table, ()), column)
    functions = con.execute(
        "select distinct function_name, not internal and function_type = 'table_macro' from duckdb_functions() "
        "where function_name ~ '[a-z_0-9]+' order by 1"
    ).fetchall()
    keywords = con.execute("select keyword_name from duckdb_keywords() order by 1").fetchall()
    return Words(
        tables,
        tuple(name for name, ours in functions if ours),
        tuple(name for name, ours in functions if not ours),
        tuple(name for (name,) in keywords),
    )


def _bare(table: str) -> str:
    return table.partition(".")[2]
