"""Telling a person how far a run is: bars on a terminal, plain lines when piped, the log when Dagster runs it.

What belongs here: how progress is shown. What does not: what is being done.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_EVERY_S = 10.0


class Reporter(Protocol):
    """Shows one task at a time."""

    def start(self, task: str, total: int | None) -> None:
        """Begin a task of `total` units."""

    def advance(self, done: int) -> None:
        """Say how many units are done by now."""

    def finish(self) -> None:
        """End the task."""


class Silent:
    """Dagster's own log tells enough."""

    def start(self, task: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class Lines:
    """A line when a task begins, every ten seconds, and when it ends."""

    def start(self, task: str, total: int | None) -> None:
        """See Reporter."""
        self._task, self._total, self._done = task, total, 0
        self._told = self._began = time.monotonic()

    def advance(self, done: int) -> None:
        """See Reporter."""
        self._done = done
        if time.monotonic() - self._told >= _EVERY_S:
            self._told = time.monotonic()
            print(f"{self._task}: {done}{f' of {self._total}' if self._total else ''}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """See Reporter."""
        seconds = time.monotonic() - self._began
        print(f"{self._task}: {self._done} in {seconds:.1f} s", file=sys.stderr, flush=True)


class Bars:
    """One bar a task."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))

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


_reporter: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039 -- it holds no state


@contextmanager
def shown() -> Iterator[None]:
    """Show progress while this is open: bars if standard error is a terminal, else lines."""
    token = _reporter.set(Bars() if sys.stderr.isatty() else Lines())
    try:
        yield
    finally:
        _reporter.reset(token)


def track[T](items: Iterable[T], task: str, total: int | None, size: Callable[[T], int] = lambda _: 1) -> Iterator[T]:
    """Pass `items` on, telling how many of `total` units went by; an item is `size` units."""
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
