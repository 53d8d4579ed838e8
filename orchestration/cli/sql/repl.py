"""The prompt of `raisonne sql`: history, completion, colours, several lines, dot commands.

What belongs here: reading from a person, printing answers. What does not: running statements
(`cli/sql/statements.py`), suggestions (`cli/sql/completion.py`).

DuckDB's own shell (`duckdb-cli` on PyPI) does not replace it: captions from the open web would act on the terminal.
Its version 1.5.6 at a pseudo-terminal names only characters below U+0020, and only in its modes duckbox and json; C1
controls (U+009B begins an escape sequence, U+009D sets titles and the clipboard), U+007F and bidirectional marks pass.
Modes box, column, line, list, csv, markdown, tabs, quote and others pass every escape sequence, and so do error
messages. `tests/test_shell.py` repeats the trial where that shell is installed.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from orchestration.cli.published import damage_told
from orchestration.cli.sql import lance_extension, nearest_macro, statements
from orchestration.cli.sql.completion import QueryCompleter
from orchestration.cli.sql.session import Refused, Session
from orchestration.warehouse.queries import query
from transforms.readable import harmless

_GREETING = "read-only; ; and Enter run a query, Tab completes, Ctrl-C cancels, Ctrl-D ends; .help lists commands"
_HELP = """\
.tables        list tables and macros, and what a row of each is
.schema TABLE  list the columns of a table, or show the definition of a macro
.upright       print each row as lines of name and value; again to print tables
.help          print this
.quit          end, like Ctrl-D
In a query, nearest(SAMPLE_ID, k := 10) returns the rows whose copy embeddings are nearest, and
find('WORDS', k := 20) those nearest in meaning, where the version embeds by meaning."""


def interact(opened: Session, form: str) -> None:
    """Read statements, each ended by a semicolon, and dot commands, until end of input.

    Args:
        opened: The published version.
        form: `table`, `csv` or `json`.
    """
    opened.prepare("")
    print(_GREETING)
    session: PromptSession[str] = PromptSession(
        history=_history(),
        lexer=PygmentsLexer(SqlLexer),
        completer=QueryCompleter.of(opened.con),
        complete_while_typing=False,
        enable_history_search=True,
        prompt_continuation="     ...> ",
    )
    unfinished = Condition(lambda: not _finished(opened.con, session.default_buffer.text))
    upright = False
    while True:
        try:
            typed = session.prompt("raisonne> ", multiline=unfinished).strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            continue
        text = typed.encode(errors="replace").decode()  # invalid UTF-8 arrives as lone surrogates
        command, _, argument = text.partition(" ")
        if command == ".quit":
            return
        if command == ".upright":
            upright = not upright
        elif text:
            _timed(lambda: _answer(opened, text, argument.strip(), form, upright))  # noqa: B023 -- called at once


def _answer(opened: Session, text: str, argument: str, form: str, upright: bool) -> None:
    command, con = text.partition(" ")[0], opened.con
    if not command.startswith("."):
        opened.prepare(text)
        statements.run(con, text, form, upright=upright)
    elif command == ".tables":
        statements.run_interruptible(con, lambda: con.sql(query("cli/tables")).show(max_rows=1000, max_width=_width()))
    elif command == ".schema" and argument:
        _describe(con, argument)
    elif command == ".help":
        print(_HELP)
    else:
        print(f"unknown command {text}\n{_HELP}", file=sys.stderr)


def _describe(con: duckdb.DuckDBPyConnection, name: str) -> None:
    for text in (query("cli/columns"), query("cli/macro_definition")):
        if con.execute(text, [name]).fetchall():
            con.sql(text, params=[name]).show(max_rows=1000, max_width=_width())
            return
    print(f"no table or macro is called {name}; .tables lists them", file=sys.stderr)


def _width() -> int:
    return os.get_terminal_size().columns


def _timed(work: Callable[[], None]) -> None:
    began = time.perf_counter()
    try:
        work()
    except duckdb.Error as error:
        print(harmless(damage_told(error) or str(error)), file=sys.stderr)
    except (Refused, lance_extension.NoExtension, nearest_macro.NoEmbeddings) as error:
        print(harmless(str(error)), file=sys.stderr)
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
    print(f"{time.perf_counter() - began:.3f} s")


def _finished(con: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Return whether Enter runs the text: a dot command, nothing, or statements that end in a semicolon."""
    text = text.strip()
    if not text or text.startswith("."):
        return True
    try:
        con.extract_statements(text.encode(errors="replace").decode())
    except duckdb.Error as error:  # of any kind: parsing looks pragmas up
        if "unterminated" in str(error):  # the semicolon may be inside quotes
            return False
    return text.endswith(";")


def _history() -> History:
    """Return the history file in the user's state folder (XDG). Only the user may read it."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    file = Path(state).expanduser() / "raisonne" / "history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
    except OSError as error:
        print(f"the history is not saved: {file}: {error.strerror}", file=sys.stderr)
        return InMemoryHistory()
    return FileHistory(str(file))
