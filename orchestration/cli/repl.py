"""The prompt of `raisonne sql`: history, completion, colours, several lines, and commands that begin with a dot.

What belongs here: talking to a person. What does not: running statements (`cli/statements.py`), what can follow
(`cli/completion.py`).
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from orchestration.cli import nearest_macro, statements
from orchestration.cli.completion import Words, words

_GREETING = "read-only; ; and Enter run a query, Tab completes, Ctrl-C cancels, Ctrl-D ends; .help says more"
_HELP = """\
.tables        every table and macro, and what a row of it is
.schema TABLE  its columns, their types and meanings; or a macro, as it was made
.upright       print each row as lines of name and value, or stop doing so
.help          this; and, to use in a query: nearest(SAMPLE_ID, k := 10), the most similar pictures by embedding
.quit          end; so does Ctrl-D"""
_TABLES = """
select name as table, regexp_replace(split_part(comment, chr(10), 1), '^One row per ', '') as "one row per"
from (
    select 1 as kind, schema_name || '.' || table_name as name, comment from duckdb_tables() where not internal
    union all
    select 1, schema_name || '.' || view_name, comment from duckdb_views() where not internal
    union all
    select 2, function_name || '(' || array_to_string(parameters, ', ') || ')', comment
    from duckdb_functions() where not internal and function_type = 'table_macro'
)
order by kind, name"""
_SCHEMA = """
select column_name as column, data_type as type, coalesce(comment, '') as meaning
from duckdb_columns() where schema_name || '.' || table_name = lower($1) or table_name = lower($1)
order by schema_name, table_name, column_index"""
_MACRO = """
select function_name || '(' || array_to_string(parameters, ', ') || ')' as macro, coalesce(comment, '') as meaning,
    macro_definition as definition
from duckdb_functions() where not internal and function_name = lower($1)"""


def interact(con: duckdb.DuckDBPyConnection, form: str, facts: Path) -> None:
    """Read statements, each ended by a semicolon, and dot commands, until end of input.

    facts: the folder of the Lance tables, for queries of embeddings.
    """
    print(_GREETING)
    known = words(con)
    session: PromptSession[str] = PromptSession(
        history=_history(),
        lexer=PygmentsLexer(SqlLexer),
        completer=_Completer(known),
        complete_while_typing=False,
        enable_history_search=True,
        prompt_continuation="     ...> ",
    )
    unfinished = Condition(lambda: not _finished(con, session.default_buffer.text))
    upright = False
    while True:
        try:
            typed = session.prompt("raisonne> ", multiline=unfinished).strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            continue
        text = typed.encode(errors="replace").decode()  # bytes that are no UTF-8 come as lone surrogates
        command, _, argument = text.partition(" ")
        if command == ".quit":
            return
        if command == ".upright":
            upright = not upright
        elif text:
            _timed(lambda: _answer(con, text, argument.strip(), form, upright, facts))  # noqa: B023 -- called at once


def _answer(con: duckdb.DuckDBPyConnection, text: str, argument: str, form: str, upright: bool, facts: Path) -> None:
    command = text.partition(" ")[0]
    if not command.startswith("."):
        nearest_macro.provide(con, facts, text)
        statements.run(con, text, form, upright=upright)
    elif command == ".tables":
        statements.cancellable(con, lambda: con.sql(_TABLES).show(max_rows=1000, max_width=_width()))
    elif command == ".schema" and argument:
        _describe(con, argument)
    elif command == ".help":
        print(_HELP)
    else:
        print(f"{text} is no command\n{_HELP}", file=sys.stderr)


def _describe(con: duckdb.DuckDBPyConnection, name: str) -> None:
    for query in (_SCHEMA, _MACRO):
        relation = con.sql(query, params=[name])
        if relation.fetchall():
            con.sql(query, params=[name]).show(max_rows=1000, max_width=_width())
            return
    print(f"no table or macro is called {name}; .tables lists them", file=sys.stderr)


def _width() -> int:
    return os.get_terminal_size().columns


def _timed(work: Callable[[], None]) -> None:
    began = time.perf_counter()
    try:
        work()
    except (duckdb.Error, nearest_macro.NoExtension) as error:
        print(statements.harmless(str(error)), file=sys.stderr)
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
    print(f"{time.perf_counter() - began:.3f} s")


def _finished(con: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether Enter runs the text: a command, nothing, or statements up to their semicolon."""
    text = text.strip()
    if not text or text.startswith("."):
        return True
    try:
        con.extract_statements(text.encode(errors="replace").decode())
    except duckdb.Error as error:  # of any kind: pragmas are looked up here
        if "unterminated" in str(error):  # the semicolon may lie within quotes
            return False
    return text.endswith(";")


def _history() -> History:
    """Return the history of earlier sessions, in the user's state folder (XDG); only the user may read it."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    file = Path(state).expanduser() / "raisonne" / "history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
    except OSError as error:
        print(f"queries are not remembered: {file}: {error.strerror}", file=sys.stderr)
        return InMemoryHistory()
    return FileHistory(str(file))


class _Completer(Completer):
    """`Words` as prompt_toolkit asks for them."""

    def __init__(self, known: Words) -> None:
        self._known = known

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield what may follow the cursor."""
        for found in self._known.suggest(document.text_before_cursor, document.text):
            yield Completion(found.text, -found.replaces, display_meta=found.kind)
