"""`raisonne sql` as a person uses it, on a terminal; its completion; and the files it writes."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from conftest import ROOT, Landing
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from orchestration.cli.sql import completion, statements

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")


class Terminal:
    """A `raisonne sql` at a terminal of 80 columns."""

    def __init__(self, sample: Landing, state: Path) -> None:
        self._main, side = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAISONNE_")}
        environment |= {
            "XDG_STATE_HOME": str(state),
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "COLUMNS": "80",
            "LINES": "40",
        }
        command = [sys.executable, "-m", "orchestration.cli", "sql", "--config", str(sample.config)]
        self.process = subprocess.Popen(
            command,
            stdin=side,
            stdout=side,
            stderr=side,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(side)
        self._unread = ""

    def type(self, text: str | bytes) -> None:
        os.write(self._main, text.encode() if isinstance(text, str) else text)

    def until(self, text: str, seconds: float = 600) -> str:
        """Return what is shown up to the end of the first `text`; what follows is left for the next question."""
        end = time.monotonic() + seconds
        while text not in (plain := _ESCAPES.sub("", self._unread)):
            ready, _, _ = select.select([self._main], [], [], max(0.0, end - time.monotonic()))
            try:
                shown = os.read(self._main, 100_000) if ready else b""
            except OSError:  # the other side was closed
                shown = b""
            if not shown:
                pytest.fail(f"never shown: {text!r}\n{self._unread[-3000:]}")
            self._unread += shown.decode(errors="replace")
        before, found, self._unread = plain.partition(text)
        return before + found

    def until_busy(self, seconds: float = 600) -> None:
        """Wait until the process has used a second of processor time, far more than reading what was typed takes."""
        busy, end = self._processor_s() + 1, time.monotonic() + seconds
        while self._processor_s() < busy:
            if time.monotonic() > end:
                pytest.fail("the query never began to compute")
            select.select([], [], [], 0.02)

    def _processor_s(self) -> float:
        """Return the processor time of all threads in seconds, as Linux counts it."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(600)
        os.close(self._main)


@pytest.fixture
def terminal(sample: Landing, tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(sample, tmp_path / "state")
    try:
        yield opened
    finally:
        opened.close()


def test_a_session_at_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until("raisonne>")
    terminal.type("select ';' as semi,\r")
    terminal.until("...>")
    terminal.type("6 * 7 as answer;\r")
    assert "42" in terminal.until(" s\r\n")
    terminal.type("select count(*) from range(1000000000000) as r(i) where hash(i) % 7 = 3;\r")
    terminal.until_busy()
    terminal.type("\x03")
    terminal.until("cancelled")
    terminal.until("raisonne>")  # its timing is shown by now
    terminal.type("from provenance.sources limit 1;\r")
    wide = terminal.until(" s\r\n")
    assert max(len(line) for line in wide.split("\r\n") if line.startswith("│")) <= 80
    terminal.type(".upright\r.schema duplicates.counts\r")
    assert "duplicate_count" in terminal.until(" s\r\n")
    terminal.type("from duplicates.cou\t")
    terminal.until("counts")  # completed
    terminal.type(" select max(duplicate_count) as most;\r")
    assert "most  120" in terminal.until(" s\r\n")
    terminal.type(".tables\r")
    assert "provenance.sources" in terminal.until("copies_of(of_sample)")
    terminal.type("select nothing;\r")
    terminal.until("Binder Error")
    terminal.type("pragma nothing;\r")
    terminal.until("Catalog Error")
    terminal.type(b"select '\xff' as odd;\r")
    terminal.until("odd  ")
    terminal.until("raisonne>")
    terminal.type("\x04")
    assert terminal.process.wait(600) == 0
    history = tmp_path / "state" / "raisonne" / "history"
    assert "+6 * 7 as answer;" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(shutil.which("duckdb") is None, reason="duckdb-cli is not installed: pip install duckdb-cli")
@pytest.mark.parametrize(
    ("mode", "acting"), [("duckbox", "\u009b31m"), ("duckbox", "\u202e"), ("line", "\x1b]0;"), ("csv", "\x1b[6n")]
)
def test_duckdbs_own_shell_lets_captions_act_on_the_terminal(mode: str, acting: str, tmp_path: Path) -> None:
    """If this fails, DuckDB's shell has become safe, and can replace the prompt of `raisonne sql`."""
    file = tmp_path / "captions.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("create table samples as select ? as caption", [f"<{acting}>"])
    main, side = pty.openpty()
    shell = subprocess.Popen(
        ["duckdb", "-readonly", "-cmd", f".mode {mode}", str(file), "from samples"],
        stdin=side,
        stdout=side,
        stderr=side,
        env=os.environ | {"TERM": "xterm", "HOME": str(tmp_path)},
    )
    os.close(side)
    shown = b""
    with contextlib.suppress(OSError):  # the other side is closed at the end
        while part := os.read(main, 100_000):
            shown += part
    os.close(main)
    assert shell.wait(600) == 0, shown
    assert f"<{acting}>".encode() in shown


@pytest.fixture(scope="module")
def completer() -> completion.QueryCompleter:
    with duckdb.connect() as con:
        con.execute("create schema catalog; create table catalog.samples (sample_id int, caption text)")
        con.execute("create schema matches; create table matches.evidence (inliers int, sample_id int)")
        con.execute("create macro catalog.copies_of(id) as table select * from catalog.samples")
        return completion.QueryCompleter.of(con)


@pytest.mark.parametrize(
    ("before", "suggested"),
    [
        ("select * from cat", ["catalog.samples"]),
        ("select * from evi", ["matches.evidence"]),
        ("from catalog.samples join mat", ["matches.evidence"]),
        ("from catalog.", ["catalog.samples"]),
        ("select cap", ["caption"]),
        ("from matches.evidence select sam", ["sample_id"]),
        ("from matches.evidence as e where e.", ["e.inliers", "e.sample_id"]),
        ("from catalog.samples where samples.c", ["samples.caption"]),
        ("from cop", ["copies_of("]),
        ("SEL", ["select"]),
        ("select regexp_full", ["regexp_full_match("]),
        ("select caption from catalog.samples where caption ", []),
    ],
)
def test_completion_knows_what_may_follow(
    completer: completion.QueryCompleter, before: str, suggested: list[str]
) -> None:
    suggestions = [*completer.get_completions(Document(before), CompleteEvent())]
    assert [each.text for each in suggestions][: len(suggested)] == suggested
    assert bool(suggestions) == bool(suggested)
    word = re.split(r"[^\w.]", before)[-1]
    assert {each.start_position for each in suggestions} <= {-len(word)}


def test_columns_of_a_table_named_after_the_cursor_come_first(completer: completion.QueryCompleter) -> None:
    typed = Document("select i from matches.evidence", cursor_position=len("select i"))
    first, *_ = completer.get_completions(typed, CompleteEvent())
    assert first.text == "inliers"


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_rows_go_into_a_file_that_other_programs_read(sample: Landing, tmp_path: Path, form: str) -> None:
    query, file = "select sample_id, caption from catalog.samples order by 1", tmp_path / f"it's.{form}"
    sample.raisonne("sql", "--format", form, "--to", str(file), f"{query};")
    assert list(tmp_path.iterdir()) == [file]
    with duckdb.connect() as con:
        read = con.execute(f"select sample_id, caption from read_{form}($1)", [str(file)]).fetchall()  # noqa: S608
    assert read == sample.query(query)


@pytest.mark.parametrize("query", ["select 1; select 2", "set threads = 1", ""])
def test_a_file_is_refused_where_it_would_hold_less_than_what_was_asked(tmp_path: Path, query: str) -> None:
    with duckdb.connect() as con, pytest.raises(statements.NotOneQuery):
        statements.save(con, query, "parquet", tmp_path / "rows.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_nothing_that_a_terminal_would_act_on_reaches_one(
    form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = "\x1b]0;owned\x07 \x9b31m \x7f \u202egpj \r"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with duckdb.connect() as con:
        con.execute("create table made as select ? as caption", [acting])
        statements.run(con, "from made", form)
        statements.run(con, "pivot made on caption using count(*)", form)
        printed = capsys.readouterr().out
        assert "owned" in printed and "31m" in printed
        assert set(printed) & set(acting) <= set(printed) & {" ", *"]0;owned31mgpj"}
        statements.run(con, "explain from made", "table")
        assert len(capsys.readouterr().out.splitlines()) > 5, "a plan is text, not a cell"


def test_json_loses_no_column_and_is_json(tmp_path: Path) -> None:
    query = "select 1 as a, 2 as a, 'nan'::double as odd, map {date '2026-01-02': ['inf'::double]} as days"
    with duckdb.connect() as con:
        statements.save(con, query, "json", tmp_path / "rows.json")
    read = json.loads((tmp_path / "rows.json").read_text(), parse_constant=pytest.fail)
    assert read == {"a": 1, "a_1": 2, "odd": "nan", "days": {"2026-01-02": ["inf"]}}


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "device")
    with duckdb.connect() as con, pytest.raises(OSError, match="not a regular file"):
        statements.save(con, "select 1 as a", "csv", tmp_path / "device")
    assert (tmp_path / "device").is_fifo()


def test_captions_that_the_locale_lacks_do_not_end_a_query(sample: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "\\xe9" in sample.raisonne("sql", "select chr(233) as x").stdout
    refused = sample.raisonne("sql", os.fsdecode(b"select '\xff'"), check=False)
    assert (refused.returncode, refused.stderr) == (2, "raisonne: the query is not UTF-8; save it as such\n")
