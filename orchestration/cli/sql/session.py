"""A connection to the published version that queries cannot leave, and that can load DuckDB's lance extension.

What belongs here: which statements and files a query may use. What does not: running statements
(`cli/sql/statements.py`), the extension (`cli/sql/nearest_macro.py`), opening the file (`cli/published.py`).

DuckDB allows the file that it has open to itself, also for `copy … to`, whatever is locked. Mode 0444 protects it from
users, but not from root. So statements that write files are refused before they run.
"""

import os
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import duckdb
from duckdb import StatementType, token_type

from orchestration.cli.sql import nearest_macro

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
_CHANGEABLE = [
    *("threads", "memory_limit", "TimeZone", "calendar", "schema", "search_path", "default_order"),
    *("default_null_order", "preserve_insertion_order", "enable_progress_bar"),
]
_TEXT = re.compile(
    r"'(?P<quoted>(?:[^']|'')*)'|\$(?P<tag>\w*)\$(?P<dollar>.*?)\$(?P=tag)\$", re.S
)  # a comment may follow


class Refused(ValueError):
    """A statement that this session does not run; the message says why, and what to do instead."""


class Session:
    """The published version, open for queries.

    Attributes:
        con: The connection. `prepare` may replace it.
    """

    def __init__(self, connect: Callable[[], duckdb.DuckDBPyConnection], home: Path, *, unsafe: bool = False) -> None:
        """Open a connection.

        Args:
            connect: Opens the published version.
            home: The folder of the warehouse.
            unsafe: Whether queries may use files, extensions and the network.
        """
        self._connect, self._home, self._unsafe = connect, home, unsafe
        self._restricted = self._extended = False
        self.con = connect()

    def prepare(self, text: str, writes: Path | None = None) -> bool:
        """Make the connection ready for a query: load what it needs, then keep it from everything else.

        Args:
            text: The query.
            writes: A file that may be written, besides the published version that is read.

        Returns:
            Whether the connection is a new one, without the temporary tables of the one before.

        Raises:
            Refused: If the query may not run.
            NoExtension: If it needs DuckDB's lance extension, which is not installed or cannot be loaded.
            duckdb.Error: If it cannot be parsed.
        """
        anew = False
        if nearest_macro.is_asked(text) and not self._extended:
            file = nearest_macro.require_extension()
            if anew := self._restricted:  # DuckDB loads no extension any more
                self.con.close()
                self.con, self._restricted = self._connect(), False
            try:
                nearest_macro.provide(self.con, self._home / "facts", file)
                self._extended = True
            finally:
                self._restrict(writes)
        self._restrict(writes)
        self._require_allowed(text)
        return anew

    def _restrict(self, writes: Path | None) -> None:
        if self._unsafe or self._restricted:
            return
        self.con.execute("set allowed_configs = ?", [_CHANGEABLE])
        self.con.execute("set allowed_paths = ?", [[str(writes)] if writes else []])
        self.con.execute("set enable_external_access = false")
        self.con.execute("set lock_configuration = true")
        self._restricted = True

    def _require_allowed(self, text: str) -> None:
        for statement in self.con.extract_statements(text):
            tokens = _tokens(statement.query)
            words = {word.lower() for word, kind in tokens if kind == token_type.keyword}
            if statement.type not in _FILES and not (statement.type in _HOLDS_ANOTHER and words & _WORDS):
                continue
            if not self._unsafe:
                raise Refused(
                    "queries read the published version and nothing else; write rows with --to FILE, or pass --unsafe "
                    "to use files, extensions and the network"
                )
            for word, kind in tokens:
                if kind == token_type.string_const and self._is_in_home(word):
                    raise Refused(f"{word.strip()} is in the warehouse, whose files only runs write")

    def _is_in_home(self, literal: str) -> bool:
        match = _TEXT.match(literal)
        text = literal
        if match:
            text = match["dollar"] if match["quoted"] is None else match["quoted"].replace("''", "'")
        if "\0" in text:
            return False
        path = Path.cwd() / text.removeprefix("file://")
        places = (os.path.normpath(path), os.path.realpath(path.parent), os.path.realpath(path))
        homes = (self._home, self._home.resolve())
        return any(Path(place).is_relative_to(home) for place in places for home in homes)


def _tokens(text: str) -> list[tuple[str, token_type]]:
    data, found = text.encode(), duckdb.tokenize(text)
    starts = [offset for offset, _ in found]  # of bytes
    words = [data[start:end] for start, end in pairwise([*starts, len(data)])]
    return [(word.decode(errors="replace").strip(), kind) for word, (_, kind) in zip(words, found, strict=True)]
