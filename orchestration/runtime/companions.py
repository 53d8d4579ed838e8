"""Processes that work beside one that started them, and end with it, however it ends.

What belongs here: starting a Python module so, ending it and all that it started. What does not: which ones there are
and why (`runtime/dagster_ui.py`).

A companion is the head of a process group, and holds the reading end of a pipe as its standard input. The kernel closes
the pipe when the process that started it is gone, even by SIGKILL, and the companion then ends its group itself. Shells
start what runs in the background with SIGINT ignored, which processes inherit and Dagster's then take for SIGTERM too:
whoever starts a companion must handle SIGINT, so that it starts with neither ignored.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

GRACE_S = 5.0
"""Seconds that a process group has between SIGTERM and SIGKILL."""


class CompanionEnded(RuntimeError):
    """A process that should have gone on ended by itself."""


class Companion:
    """A Python module that runs beside this process."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], temporary: Path) -> None:
        """Start it. Neither it nor what it starts takes a file in the working directory for a module.

        Args:
            name: What it is, for messages.
            module: What follows `python -m`.
            arguments: What follows the module.
            temporary: Folder for its temporary files, and for those of what it starts.
        """
        self.name = name
        path = os.pathsep.join(filter(None, [str(temporary), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(  # noqa: S603 -- this Python, with modules that the caller names
            [sys.executable, "-P", "-m", __name__, module, *arguments],
            stdin=subprocess.PIPE,
            # Dagster takes the first place of modules for the script's, and searches all but that
            env=os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": path, "TMPDIR": str(temporary)},
            process_group=0,
        )

    def require_running(self) -> None:
        """Raise CompanionEnded if it ended."""
        if (code := self._process.poll()) is not None:
            raise CompanionEnded(f"{self.name} ended by itself (exit code {code}); what it said is above")

    def stop(self) -> None:
        """Ask it and all that it started to end."""
        self._signal(signal.SIGTERM)

    def end(self, until: float) -> None:
        """Wait until it and all that it started ended; kill what is left.

        Args:
            until: When to stop waiting, by `time.monotonic()`.
        """
        while self._process.poll() is None or self._signal(0):
            if time.monotonic() > until:
                self._signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _signal(self, number: int) -> bool:
        """Send a signal to its group; False if nothing is left of it."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True


def end(companions: Sequence[Companion]) -> None:
    """End several at once, within `GRACE_S` seconds."""
    until = time.monotonic() + GRACE_S
    for each in companions:
        each.stop()
    for each in companions:
        each.end(until)


def _end_group_when_alone() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    threading.Thread(target=_end_group).start()  # one that the end of the main thread waits for


def _end_group() -> None:
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_group_when_alone, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
