"""A connection to the published version that queries cannot leave, unless they are told that they may.

What belongs here: which statements and functions a query may use. What does not: running statements
(`cli/sql/statements.py`), what a query is provided with (`cli/sql/nearest_macro.py`, `cli/sql/lance_extension.py`),
opening the file (`cli/published.py`).

DuckDB allows the file that it has open to itself, also for `copy … to`, whatever is locked. Mode 0444 protects it from
users, but not from root. So statements that write files are refused before they run, and so are functions that write
logs, or run a text as a statement of which nothing is known before. A lake's extensions open files and servers by
themselves, so their functions are refused too; what they tell is in `lake.snapshots()` and the like.
"""

import re
from itertools import pairwise
from pathlib import Path

import duckdb
from duckdb import StatementType, token_type

from orchestration.cli.sql import find_macro, lance_extension, nearest_macro
from orchestration.settings import Settings

_FILES = {
    StatementType.COPY,
    StatementType.COPY_DATABASE,
    StatementType.EXPORT,
    StatementType.ATTACH,
    StatementType.LOAD,
    StatementType.CALL,  # of functions that write logs
    StatementType.EXTENSION,
}
_HOLDS_ANOTHER = {StatementType.EXPLAIN, StatementType.PREPARE}
_WORDS = {"copy", "export", "attach"}
_FUNCTIONS = {
    "enable_logging",  # aborts the process where it may not write its file
    "enable_profiling",
    "query",
    "json_execute_serialized_sql",
}
_OF_EXTENSIONS = re.compile(r"(ducklake|sqlite|postgres)_\w+|pg_clear_cache|read_postgres_binary|load_aws_credentials")
_CATALOG = "__ducklake_metadata"  # of the database that keeps a lake's catalog, as DuckLake attaches it
_NAME = re.compile(r'"((?:[^"]|"")*)"|(\w+)')
_CHANGEABLE = [
    *("memory_limit", "TimeZone", "calendar", "schema", "search_path", "default_order"),
    *("default_null_order", "preserve_insertion_order", "enable_progress_bar"),
]


class Refused(ValueError):
    """A statement that this session does not run; the message says why, and what to do instead."""


class Session:
    """The published version, open for queries."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        home: Path,
        *,
        unsafe: bool = False,
        data: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Take over a connection.

        Args:
            con: The published version, open.
            home: The folder of the warehouse.
            unsafe: Whether queries may use files, extensions and the network.
            data: Where the data of a lake lie, which queries read. None: the version is a file.
            settings: Of the warehouse, with whose encoder `find` searches. None: there is no such macro.
        """
        self.con, self._home, self._unsafe = con, home, unsafe
        self._folders = [] if data is None else [data]
        self._settings = settings
        self._restricted = self._nearest = self._extended = self._finds = False

    def prepare(self, text: str, writes: Path | None = None) -> None:
        """Make the connection ready for a query: provide what it needs, and keep it from everything else.

        Args:
            text: The query.
            writes: A file that may be written, besides the published version that is read.

        Raises:
            Refused: If the query may not run.
            NoExtension: If it needs DuckDB's lance extension, which is not installed or cannot be loaded.
            NoEmbeddings: If it needs embeddings, or an encoder, which are not there.
            duckdb.Error: If it cannot be parsed.
        """
        if not self._unsafe:
            self._restrict(writes)
            for statement in self.con.extract_statements(text):
                _require_allowed(statement, lake=bool(self._folders))
        elif lance_extension.is_asked(text) and not self._extended:
            lance_extension.load(self.con)
            self._extended = True
        if nearest_macro.is_asked(text) and not self._nearest:
            nearest_macro.provide(self.con, self._home / "facts")
            self._nearest = True
        if self._settings is not None and find_macro.is_asked(text) and _calls(text, "find") and not self._finds:
            find_macro.provide(self.con, self._settings)
            self._finds = True

    def _restrict(self, writes: Path | None) -> None:
        if self._restricted:
            return
        self.con.execute("set allowed_configs = ?", [_CHANGEABLE])
        self.con.execute("set allowed_paths = ?", [[str(writes)] if writes else []])
        self.con.execute("set allowed_directories = ?", [self._folders])
        self.con.execute("set enable_external_access = false")
        self.con.execute("set lock_configuration = true")
        self._restricted = True


def _require_allowed(statement: duckdb.Statement, *, lake: bool) -> None:
    tokens = _tokens(statement.query)
    words = {word.lower() for word, kind in tokens if kind == token_type.keyword}
    if statement.type in _FILES or (statement.type in _HOLDS_ANOTHER and words & _WORDS):
        raise Refused(
            "queries read the published version and nothing else; write rows with --to FILE, or pass --unsafe to use "
            "files, extensions and the network"
        )
    if any(_CATALOG in word.lower() for word, _ in tokens):
        raise Refused(
            "queries read the tables of a lake, not its catalog, whose database may hold others; lake.snapshots() "
            "tells its versions"
        )
    for (word, kind), (following, _) in pairwise(tokens):
        called = _name(word) if kind != token_type.string_const and following.startswith("(") else ""
        if called in _FUNCTIONS or (lake and called == "query_table"):  # which takes the name of any table as a text
            raise Refused(
                f"{called}(…) is not run, as what it does is not known before; write the query itself, or pass --unsafe"
            )
        if _OF_EXTENSIONS.fullmatch(called):
            raise Refused(f"{called}(…) is not run, as it opens files and servers by itself; pass --unsafe to run it")


def _calls(text: str, function: str) -> bool:
    """Return whether a text calls a function, rather than holding its name in a text or a comment."""
    return any(
        kind != token_type.string_const and following.startswith("(") and _name(word) == function
        for (word, kind), (following, _) in pairwise(_tokens(text))
    )


def _name(word: str) -> str:
    match = _NAME.match(word)
    return (match[1] or match[2] or "").replace('""', '"').lower() if match else ""


def _tokens(text: str) -> list[tuple[str, token_type]]:
    """Split a statement as DuckDB's parser does. A comment belongs to the token before it."""
    data, found = text.encode(), duckdb.tokenize(text)
    starts = [offset for offset, _ in found]  # of bytes
    words = [data[start:end] for start, end in pairwise([*starts, len(data)])]
    return [(word.decode(errors="replace").strip(), kind) for word, (_, kind) in zip(words, found, strict=True)]
