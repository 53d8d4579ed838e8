"""The command `raisonne` in processes of its own that start with its imports done.

Importing Dagster, Lance and torch takes longer than most runs of a test. A server imports them once for each test
worker; each command is a fork of it, with an environment, standard streams and an exit code of its own.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = (
    "tests.preloaded",
    "alembic.command",
    "onnxruntime",
    "orchestration.definitions",
    "orchestration.cli.execution",
    "orchestration.cli.main",
    "orchestration.cli.summary",
    "orchestration.reports.exports",
    "sqlalchemy",
    "torch",
    "transforms.encoders.sscd",
    "transforms.hashing.hashes",
    "transforms.joins.cosine.join",
    "transforms.joins.hamming.join",
    "xlsxwriter",
)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(list(PRELOADED))


class Command:
    """A started command. Its output and its errors go to files.

    Attributes:
        arguments: What follows `raisonne`.
        process: The process.
        output: The file of its standard output.
        errors: The file of its standard error.
    """

    def __init__(self, config: Path, arguments: Sequence[str], streams: Path) -> None:
        self.arguments, self.output, self.errors = arguments, streams / "output", streams / "errors"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAISONNE_", "DAGSTER_HOME"))}
        environment = kept | {"RAISONNE_CONFIG": str(config)}
        for stream in (self.output, self.errors):
            stream.write_bytes(b"")
        self.process: ForkServerProcess = FORKS.Process(
            target=_main, args=(list(arguments), environment, str(self.output), str(self.errors))
        )
        self.process.start()

    def wait(self, timeout: float) -> int:
        """Return the exit code, negative after a signal. Raises TimeoutExpired, and kills the process."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise subprocess.TimeoutExpired(
                [*self.arguments], timeout, self.output.read_text(), self.errors.read_text()
            )
        return self.process.exitcode

    def kill_at(self, line: str, timeout: float) -> None:
        """Send SIGKILL as soon as a line of the standard error begins so. Fails if the command ends before."""
        end = time.monotonic() + timeout
        try:
            while not any(each.startswith(line) for each in self.errors.read_text().splitlines()):
                assert self.process.is_alive(), f"it never said {line!r}:\n{self.errors.read_text()}"
                assert time.monotonic() < end, f"it did not say {line!r} in {timeout} s:\n{self.errors.read_text()}"
                time.sleep(0.005)
        finally:
            self.process.kill()
            self.process.join()


def run(config: Path, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        config: Its settings.
        arguments: What follows `raisonne`.
        timeout: Seconds.
    """
    with tempfile.TemporaryDirectory() as streams:
        command = Command(config, arguments, Path(streams))
        code = command.wait(timeout)
        return subprocess.CompletedProcess(
            [*arguments], code, command.output.read_text(), command.errors.read_text(errors="surrogateescape")
        )


def run_afresh(config: Path, *arguments: str) -> None:
    """Run a command as users start it: with its imports, and with all that Python does at the end of a process.

    Args:
        config: Its settings.
        arguments: What follows `raisonne`.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAISONNE_", "DAGSTER_HOME"))}
    command = [sys.executable, "-m", "orchestration.cli", *arguments, "--config", str(config)]
    subprocess.run(command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, check=True)


def _main(arguments: list[str], environment: dict[str, str], output: str, errors: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for number, path in enumerate((os.devnull, output, errors)):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):  # what Python does once, at its start
        stream.reconfigure(encoding=environment.get("PYTHONIOENCODING") or "utf-8")
    sys.argv = ["raisonne", *arguments]
    from orchestration.cli.main import main

    main()
