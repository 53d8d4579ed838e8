"""Reporting the progress of a run: bars on a terminal, plain lines when piped, the log when Dagster runs it.

What belongs here: how progress is shown. What does not: what is being done.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_EVERY_S = 10.0


class Reporter(Protocol):
    """Shows one task at a time."""

    def start(self, task: str, total: int | None) -> None:
        """Begin a task.

        Args:
            task: The name that people read.
            total: The count of its units. None if unknown.
        """

    def advance(self, done: int) -> None:
        """Report how many units are done by now."""

    def finish(self) -> None:
        """End the task."""

    def say(self, line: str) -> None:
        """Report an event while a task is in progress."""


class Silent:
    """Reports nothing."""

    def start(self, task: str, total: int | None) -> None:
        """See Reporter."""

    def advance(self, done: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Do nothing."""


class Lines:
    """Reports a line every ten seconds, and one when a task ends.

    Args:
        write: Takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def start(self, task: str, total: int | None) -> None:
        """See Reporter."""
        self._task, self._total, self._done = task, total, 0
        self._written = self._began = time.monotonic()

    def advance(self, done: int) -> None:
        """See Reporter."""
        self._done = done
        now = time.monotonic()
        if now - self._written >= _EVERY_S:
            self._written = now
            self._write(f"{self._task}: {pace(done, self._total, now - self._began)}")

    def finish(self) -> None:
        """See Reporter."""
        seconds = time.monotonic() - self._began
        self._write(f"{self._task}: {self._done} in {seconds:.1f} s{_rate(self._done, seconds)}")

    def say(self, line: str) -> None:
        """See Reporter."""
        self._write(line)


def pace(done: int, total: int | None, seconds: float) -> str:
    """Return the progress of a task, its rate, and the time left: `640 of 3420, 21.3/s, 2 min left`.

    Args:
        done: Units that are done.
        total: All units, if known.
        seconds: Time since the task began.
    """
    said = f"{done}{f' of {total}' if total else ''}{_rate(done, seconds)}"
    if not total or not 0 < done < total:
        return said
    return f"{said}, {duration(seconds / done * (total - done))} left"


def duration(seconds: float) -> str:
    """Return a time in the unit that people take: `40 s`, `12 min`, `3 h`."""
    unit, name = next(
        (u, n) for u, n, most in ((1, "s", 90), (60, "min", 5400), (3600, "h", float("inf"))) if seconds < most
    )
    return f"{seconds / unit:.0f} {name}"


def _rate(done: int, seconds: float) -> str:
    return f", {done / seconds:.1f}/s" if done and seconds >= 1 else ""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_rate(int(task.completed), task.elapsed or 0).lstrip(", "))


class Bars:
    """Shows one bar for the current task."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), _Rate())
        self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))

    def start(self, task: str, total: int | None) -> None:
        """See Reporter."""
        self._progress.start()
        self._task = self._progress.add_task(task, total=total)

    def advance(self, done: int) -> None:
        """See Reporter."""
        self._progress.update(self._task, completed=done)

    def finish(self) -> None:
        """See Reporter."""
        done = self._progress.tasks[-1].completed
        self._progress.update(self._task, total=done, completed=done)
        self._progress.stop()
        self._progress.remove_task(self._task)

    def say(self, line: str) -> None:
        """See Reporter."""
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


_reporter: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039 -- it holds no state


@contextmanager
def display() -> Iterator[None]:
    """Show progress inside this context: bars if standard error is a terminal, else lines."""
    token = _reporter.set(Bars() if sys.stderr.isatty() else Lines(_to_stderr))
    try:
        yield
    finally:
        _reporter.reset(token)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def log_to(log: Callable[[str], None]) -> Iterator[None]:
    """Report progress to `log` inside this context, unless a reporter is already active."""
    before = _reporter.get()
    if isinstance(before, Silent):
        _reporter.set(Lines(log))
    try:
        yield
    finally:
        _reporter.set(before)  # not by token: Dagster may close a run's resources in another context


def say(line: str) -> None:
    """Report an event while a task is tracked."""
    _reporter.get().say(line)


@contextmanager
def share_of(task: str, total: int) -> Iterator[Callable[[float], None]]:
    """Yield what takes the share of a task that is done, from 0 to 1, and report it as so many units.

    Args:
        task: The name of the task.
        total: All units.
    """
    reporter = _reporter.get()
    reporter.start(task, total)
    try:
        yield lambda share: reporter.advance(int(share * total))
    finally:
        reporter.finish()


def track[T](items: Iterable[T], task: str, total: int | None, size: Callable[[T], int] = lambda _: 1) -> Iterator[T]:
    """Yield the items, and report how many were consumed.

    Args:
        items: Any items.
        task: The name of the task.
        total: All units, if known.
        size: Returns how many units an item is; one by default.
    """
    reporter = _reporter.get()
    reporter.start(task, total)
    done = 0
    try:
        for item in items:
            yield item
            done += size(item)
            reporter.advance(done)
    finally:
        reporter.finish()
