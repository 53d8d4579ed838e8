"""Runs that are disturbed: killed at a commit or at any time, two at once, on a full disk.

What belongs here: starting a run, disturbing it, and how it ended. What does not: what lands meanwhile (`inputs.py`).
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from test_kills import AFTER, BEFORE, Point, run

from tests.processes import FORKS, ROOT

_DISK = 400 << 20  # bytes of the home, where it may have a disk of its own
_LEFT = (0, 100_000, 1_000_000, 5_000_000)  # bytes that are left on a full disk
_FILE = (4_096, 65_536, 1_000_000)  # bytes of the largest file, where it may not
_STRACE = shutil.which("strace")
_CALLS = ("fsync", "fdatasync", "rename", "renameat2", "linkat", "link", "symlink", "unlink", "ftruncate", "pwrite64")
_COUNTED = 12  # strace counts in each thread
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_PATIENCE = 1_800  # seconds that a run may take


def limited(bytes_: int, config: str, home: str, log: str) -> None:
    """Run with a limit on the size of any file, as a full disk has one.

    Args:
        bytes_: The limit.
        config: Settings.
        home: The warehouse.
        log: See `test_kills.run`.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))
    run(config, home, log, None)


@contextmanager
def disk(home: Path) -> Iterator[bool]:
    """Give the home a disk of its own while this lasts, where that is allowed. Yields whether it is."""
    home.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "soak", str(home)]
    own = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield own
    finally:
        if own:
            subprocess.run(["umount", "--lazy", str(home)], check=True)


class Runs:
    """The disturbed runs of one home.

    Attributes:
        ended: How many ended in each way.
    """

    def __init__(self, config: Path, home: Path, draw: random.Random, *, own_disk: bool) -> None:
        self.ended: Counter[str] = Counter()
        self._config, self._home, self._draw, self._own_disk = config, home, draw, own_disk
        self._commits: list[str] = []
        self._ways: list[Callable[[], None]] = []
        self._logs: dict[ForkServerProcess, str] = {}
        self._seconds, self._count = 10.0, 0

    def whole(self) -> bool:
        """Let a run go to its end. Returns whether it succeeded."""
        start = time.monotonic()
        done = self._joined(self._start(None)) == 0
        self._seconds = max(1.0, time.monotonic() - start)
        return done

    def disturbed(self) -> None:
        """Let a run be disturbed in one of the ways: in all of them, in an order of chance, before one comes again."""
        if not self._ways:
            ways = [self._killed_at_a_commit, self._killed_at_any_time, self._two, self._full]
            ways += [self._killed_at_a_call] * (_STRACE is not None)
            self._ways = self._draw.sample(ways, len(ways))
        self._ways.pop()()

    def _killed_at_a_commit(self) -> None:
        known = sorted(set(self._commits)) or [" "]
        process = self._start((self._draw.choice(known), self._draw.choice((BEFORE, AFTER))))
        self._count_end("at a commit", self._joined(process))

    def _killed_at_any_time(self) -> None:
        process = self._start(None)
        process.join(self._draw.uniform(0, self._seconds))
        process.kill()
        self._count_end("at any time", self._joined(process))

    def _killed_at_a_call(self) -> None:
        """Let the kernel kill a run at one of the calls by which it writes: some count of it in one of its threads."""
        call, count = self._draw.choice(_CALLS), self._draw.randint(1, _COUNTED)
        command = [sys.executable, "-m", "orchestration.cli", "run", "--config", str(self._config)]
        inject = [_STRACE or "", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}"]
        inject += ["-e", f"inject={call}:signal=KILL:when={count}"]
        done = subprocess.run([*inject, *command], cwd=ROOT, capture_output=True, timeout=_PATIENCE, check=False)
        self._count_end("at a system call", -signal.SIGKILL if done.returncode in _KILLED else done.returncode)

    def _two(self) -> None:
        """Start two writers; each may be killed."""
        pair = [self._start(None), self._start(None)]
        for process in self._draw.sample(pair, 2):
            if self._draw.random() < 0.6:
                process.join(self._draw.uniform(0, self._seconds))
                process.kill()
        for process in pair:
            self._count_end("of two", self._joined(process))

    def _full(self) -> None:
        """Let a run meet a full disk, which is then emptied."""
        if not self._own_disk:
            bytes_ = self._draw.choice(_FILE)
            process = FORKS.Process(target=limited, args=(bytes_, str(self._config), str(self._home), self._log()))
            process.start()
            self._count_end("full disk", self._joined(process))
            return
        ballast = self._home / "ballast"
        process = self._start(None)
        process.join(self._draw.uniform(0, self._seconds / 2))
        try:
            with ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 20))
        except OSError:
            size = ballast.stat().st_size
        with ballast.open("r+b") as file:
            file.truncate(max(0, size - self._draw.choice(_LEFT)))
        self._count_end("full disk", self._joined(process))
        ballast.unlink()

    def _log(self) -> str:
        self._count += 1
        log = self._config.with_name(f"commits-{self._count}.log")
        log.touch()
        return str(log)

    def _start(self, point: Point | None) -> ForkServerProcess:
        log = self._log()
        process: ForkServerProcess = FORKS.Process(target=run, args=(str(self._config), str(self._home), log, point))
        process.start()
        self._logs[process] = log
        return process

    def _joined(self, process: ForkServerProcess) -> int:
        process.join(_PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            self.ended["hung"] += 1
        if process in self._logs:
            self._commits += Path(self._logs.pop(process)).read_text().splitlines()
        return process.exitcode or 0

    def _count_end(self, how: str, code: int) -> None:
        ending = "killed" if code == -signal.SIGKILL else "failed" if code else "done"
        self.ended[f"{how}, {ending}"] += 1
