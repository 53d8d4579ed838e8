"""Suggestions for a query that is being typed: tables, columns, macros, keywords and functions of a database.

What belongs here: from the text before the cursor to suggestions, the likeliest first. What does not: the prompt that
shows them (`cli/sql/repl.py`). DuckDB's own completion is an extension that must be downloaded, so it is not used.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from orchestration.warehouse.queries import query

_WORD = re.compile(r"[\w.]*$")
_WANTS_TABLE = re.compile(r"\b(from|join|describe|summarize|show)\s+$|\bfrom\s+[\w.]+(\s+\w+)?\s*,\s*$", re.I)
_ALIAS = re.compile(r"\b(?:from|join)\s+(\w+\.\w+)(?:\s+as)?\s+(\w+)", re.I)


@dataclass(frozen=True)
class QueryCompleter(Completer):
    """Completes the words of a database. tables: columns by `stage.table`."""

    tables: Mapping[str, tuple[str, ...]]
    macros: tuple[str, ...]
    functions: tuple[str, ...]
    keywords: tuple[str, ...]

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection) -> "QueryCompleter":
        """Read the words of an open database."""
        tables: dict[str, tuple[str, ...]] = {}
        for table, column in con.execute(query("cli/columns_by_table")).fetchall():
            tables[table] = (*tables.get(table, ()), column)
        functions = con.execute(query("cli/function_names")).fetchall()
        keywords = con.execute("select keyword_name from duckdb_keywords() order by 1").fetchall()
        return cls(
            tables,
            tuple(name for name, ours in functions if ours),
            tuple(name for name, ours in functions if not ours),
            tuple(name for (name,) in keywords),
        )

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield suggestions, the likeliest first. Columns of tables that the query names come before others.

        Args:
            document: The query and the cursor.
            complete_event: Not used.
        """
        before, whole = document.text_before_cursor, document.text
        match = _WORD.search(before)
        word = match[0] if match else ""
        start = word.lower()
        candidates: dict[str, str] = {}
        for text, kind in self._candidates(before[: len(before) - len(word)], word, whole):
            if text.lower().startswith(start) or (kind == "table" and _bare(text).startswith(start)):
                candidates.setdefault(text, kind)
        for text, kind in candidates.items():
            yield Completion(text, -len(word), display_meta=kind)

    def _candidates(self, before: str, word: str, whole: str) -> Iterator[tuple[str, str]]:
        owner, dot, _ = word.rpartition(".")
        if dot:
            table = self._table_of(owner, whole)
            yield from ((f"{owner}.{column}", "column") for column in self.tables.get(table, ()))
            yield from ((name, "table") for name in self.tables if name.startswith(f"{owner.lower()}."))
            return
        tables = [*((name, "table") for name in self.tables), *((f"{name}(", "macro") for name in self.macros)]
        if _WANTS_TABLE.search(before):
            yield from tables
            return
        if not word:
            return  # too many suggestions
        read = [name for name in self.tables if re.search(rf"\b{re.escape(name)}\b", whole, re.I)]
        yield from ((column, "column") for name in read or self.tables for column in self.tables[name])
        yield from tables
        yield from ((name, "keyword") for name in self.keywords)
        yield from ((f"{name}(", "function") for name in self.functions)

    def _table_of(self, owner: str, whole: str) -> str:
        """Return the table that an alias, a bare name or a full name stands for."""
        aliases = {alias.lower(): table.lower() for table, alias in _ALIAS.findall(whole)}
        bare = {_bare(name): name for name in self.tables}
        return aliases.get(owner.lower(), bare.get(owner.lower(), owner.lower()))


def _bare(table: str) -> str:
    return table.partition(".")[2]
