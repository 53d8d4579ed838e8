"""The lock of the writer: one run or repair at a time.

What belongs here: taking it, and telling who holds it. What does not: what is done under it (`publishing/builds.py`).
"""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from orchestration.warehouse.publishing.version_files import current

_LOOK_S = 0.5
"""Seconds in which `holder` may have the lock, and is not taken for a writer."""


class Busy(RuntimeError):
    """Another run holds the warehouse for writing."""


@contextmanager
def writer(home: Path, *, run: str, wait_s: float, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the warehouse for writing; `begin` and `publish` belong inside.

    The kernel releases the lock when the process ends in any way. This removes builds that it left.

    Args:
        home: The folder of the warehouse, created as needed.
        run: Name of the writer in the messages of other runs.
        wait_s: Seconds to wait for another writer.
        on_wait: Called with one sentence that names the holder, before waiting.

    Raises:
        Busy: If another writer still holds the lock after `wait_s` seconds.
    """
    home.mkdir(parents=True, exist_ok=True)
    with lock(home, wait_s, on_wait):
        current(home)  # a run that could not be published is refused before its work, not after
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"run": run, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
        (home / "writer.json").write_text(json.dumps(holder))
        shutil.rmtree(home / "builds", ignore_errors=True)
        for folder in ("builds", "versions"):
            (home / folder).mkdir(exist_ok=True)
        try:
            yield
        finally:
            shutil.rmtree(home / "builds", ignore_errors=True)
            (home / "writer.json").unlink(missing_ok=True)


def lock(
    home: Path, wait_s: float | None = None, on_wait: Callable[[str], None] | None = None
) -> AcquireReturnProxy[FileLock]:
    """Take the lock of the writer, for a `with` statement. `writer` is for runs.

    Args:
        home: The folder of the warehouse.
        wait_s: See `writer`, as for the others. None: no setting says how long, so this does not wait.
        on_wait: likewise.

    Raises:
        Busy: likewise.
    """
    held = FileLock(home / "writer.lock", thread_local=False)  # the context may be left in another thread
    with suppress(Timeout):
        return held.acquire(timeout=_LOOK_S)
    if on_wait is not None and wait_s:
        on_wait(f"waiting up to {wait_s:g} s for {_holder(home)}, which is writing {home}")
    try:
        return held.acquire(timeout=max(wait_s or 0, 0))
    except Timeout:
        fix = "wait for that run, or end it"
        if wait_s is not None:
            fix = f"gave up after {wait_s:g} s: wait for that run, end it, or raise publishing.lock_wait_s"
        raise Busy(f"{home} is being written by {_holder(home)}; {fix}") from None


def holder(home: Path) -> str | None:
    """Return who holds the lock of the writer, or None. Writes nothing and does not wait.

    The kernel tells only by giving the lock, for a moment and shared with others who look; `lock` waits for that.
    """
    try:
        with (home / "writer.lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(home)
            return None
    except OSError:
        return None  # no run was here, or this user may not look


def _holder(home: Path) -> str:
    try:
        return "run {run} (pid {pid} on {host}, since {since})".format(**json.loads((home / "writer.json").read_text()))
    except (FileNotFoundError, json.JSONDecodeError):  # it has the lock, but has not written its name yet
        return "a run that has just started"
